"""divert and tee: real programs on divert ports, on the bridge and on the gateway."""

import subprocess
import sys
from pathlib import Path

import pytest
from lab import ALLOW, Wire
from lab.network import eventually
from scapy.all import ICMP, IP, Ether, raw

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy/examples"
HEADERS = Path(__file__).resolve().parents[2] / "dataplane/divert"
sys.path.insert(0, str(EXAMPLES))
from divert_echo import IN, OUT, Divert  # noqa: E402


class Echo:
    """The example program as a process."""

    def __init__(self, appliance, port, *options, command=None):
        command = command or ["/usr/bin/python3", str(EXAMPLES / "divert_echo.py")]
        self.process = subprocess.Popen(
            [*command, str(port), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True)
        self.first = self.process.stdout.readline()

    @classmethod
    def of(cls, appliance, port, *options):
        return cls(appliance, port, "--socket", str(appliance.divert_socket), *options)

    def __enter__(self):
        assert self.first.startswith("listening"), self.first
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the program; the lines that it has printed."""
        self.process.kill()
        return self.process.communicate()[0].splitlines()


# ---- The bridge ----------------------------------------------------------------------------------

def test_bridge_divert_and_back(bed, appliance):
    appliance.load("add 100 divert 2000 icmp from any to any icmptypes 8\n" + ALLOW)
    assert eventually(lambda: not bed.a.ping(bed.b.ipv4, seconds=1) and
                      appliance.drops()["divert_without_listener"] > 0)
    with Echo.of(appliance, 2000) as echo:
        assert bed.a.ping(bed.b.ipv4, 3)
        lines = echo.stop()
    assert lines == [f"rule 100 divert 2000: {bed.a.ipv4} > {bed.b.ipv4}, 84 bytes, in by em0"] * 3
    # As soon as it has gone, nobody listens.
    assert not bed.a.ping(bed.b.ipv4, seconds=1)


def test_bridge_c_example(bed, appliance, tmp_path):
    program = tmp_path / "divert_echo"
    subprocess.run(["cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror",
                    f"-I{HEADERS}", "-o", program, EXAMPLES / "divert_echo.c"], check=True)
    appliance.load("add 100 divert 2000 ip from any to any\n" + ALLOW)
    with Echo(appliance, 2000, str(appliance.divert_socket), command=[str(program)]):
        assert bed.a.ping(bed.b.ipv4, 3)
        assert bed.a.ping(bed.b.ipv6, 3)


# Scenario 35.
def test_bridge_tee_goes_on_with_the_next_rule(bed, appliance):
    appliance.load("add 100 tee 2000 icmp from any to any icmptypes 8\n"
                   "add 200 deny icmp from any to any icmptypes 8\n" + ALLOW)
    with Echo.of(appliance, 2000) as echo:
        assert not bed.a.ping(bed.b.ipv4, seconds=1)
        assert appliance.counters(200)[0] == 1
        appliance.must("-q", "delete", "200")
        assert bed.a.ping(bed.b.ipv4, 2)
        lines = echo.stop()
    assert len(lines) == 3 and all(line.startswith("rule 100 tee 2000:") for line in lines)
    # Without anybody who wants the copy.
    assert bed.a.ping(bed.b.ipv4, 2)


def test_bridge_long_datagrams(bed, appliance):
    appliance.load("add 100 divert 2000 icmp from any to any\n" + ALLOW)
    with Echo.of(appliance, 2000) as echo:
        assert bed.a.ping(bed.b.ipv4, 1, "-s", "20000")
        lines = echo.stop()
    assert len(lines) == 2 and all("20028 bytes" in line for line in lines)


def test_second_program_is_refused(bed, appliance):
    appliance.load("add 100 divert 2000 icmp from any to any\n" + ALLOW)
    with Echo.of(appliance, 2000) as echo:
        second = Echo.of(appliance, 2000)
        assert f"process {echo.process.pid} listens on divert port 2000" in second.first
        second.process.wait()
        assert bed.a.ping(bed.b.ipv4)


def test_garbage_and_a_slow_program(bed, appliance):
    appliance.load("add 100 divert 2000 icmp from any to any\n"
                   "add 200 divert 2001 udp from any to any\n" + ALLOW)
    divert = Divert(2000, str(appliance.divert_socket))
    before = appliance.drops()
    for length in (1, 50, 112, 500):
        divert.socket.send(bytes(length))
    assert eventually(
        lambda: appliance.drops()["divert_refused"] == before["divert_refused"] + 4)
    with Echo.of(appliance, 2001):
        frame = raw(Ether(src=bed.a.mac, dst=bed.b.mac) / IP(src=bed.a.ipv4, dst=bed.b.ipv4) /
                    ICMP() / (b"x" * 1400))
        with Wire(bed.a) as wire:
            def lost():
                for _ in range(1000):
                    wire.send(frame)
                return appliance.drops()["divert_queue_full"] > before["divert_queue_full"]

            assert eventually(lost, 20)
    divert.socket.close()
    assert appliance.running()


# ---- The gateway: scenarios 18 to 21 -------------------------------------------------------------

def test_scenario_18_in_div(routed, gateway):
    gateway.load("add 100 divert 2000 icmp from any to any icmptypes 8 in\n" + ALLOW)
    with Echo.of(gateway, 2000, "--eat") as echo:
        assert not routed.a.ping(routed.router_a4, seconds=1)
        lines = echo.stop()
    assert lines == [f"rule 100 divert 2000: {routed.a.ipv4} > {routed.router_a4}, 84 bytes, "
                     "in by em0"]


def test_scenario_19_in_div_in(routed, gateway):
    gateway.load("add 100 divert 2000 icmp from any to any icmptypes 8 in\n" + ALLOW)
    with Echo.of(gateway, 2000):
        assert routed.a.ping(routed.router_a4, 3)


@pytest.mark.parametrize("options, answered", [(("--eat",), False), ((), True)],
                         ids=["eaten", "given-back"])
def test_scenario_20_out_div(routed, gateway, options, answered):
    gateway.load("add 100 divert 2000 icmp from any to any icmptypes 0 out\n" + ALLOW)
    with Echo.of(gateway, 2000, *options) as echo:
        assert routed.a.ping(routed.router_a4, seconds=1) == answered
        lines = echo.stop()
    assert lines == [f"rule 100 divert 2000: {routed.router_a4} > {routed.a.ipv4}, 84 bytes, "
                     "out by em0"]


def test_scenario_21_in_div_in_fwd_out_div_out(routed, gateway):
    gateway.load("add 100 divert 2001 icmp from any to any icmptypes 8 in\n"
                 "add 200 divert 2002 icmp from any to any icmptypes 8 out\n" + ALLOW)
    with Echo.of(gateway, 2001) as into, Echo.of(gateway, 2002) as out_of:
        assert routed.a.ping(routed.b.ipv4, 3)
        assert len(into.stop()) == 3
        assert len(out_of.stop()) == 3
    assert gateway.counters(100)[0] == 3 and gateway.counters(200)[0] == 3


def test_packets_of_a_programs_own(routed, gateway):
    gateway.load("add 100 divert 2000 icmp from any to any icmptypes 8 in\n"
                 "add 200 count icmp from any to any icmptypes 0 out recv em* xmit em0\n"
                 "add 300 count icmp from any to any icmptypes 0 out xmit em0\n" + ALLOW)
    divert = Divert(2000, str(gateway.divert_socket))
    divert.socket.settimeout(5)
    ping = routed.a.start("ping", "-n", "-c", "1", "-W", "5", routed.b.ipv4)
    message = divert.receive()
    assert message.direction == IN
    # An answer that nobody but this program has made.
    packet = bytearray(message.packet)
    packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
    packet[20] = 0
    checksum = int.from_bytes(packet[22:24], "big") + 0x0800
    packet[22:24] = ((checksum & 0xffff) + (checksum >> 16)).to_bytes(2, "big")
    message.packet, message.direction, message.rule = bytes(packet), OUT, 0
    message.receive, message.transmit, message.cookie = "", "", bytes(64)
    divert.send(message)
    assert ping.wait(5) == 0
    divert.socket.close()
    assert gateway.counters(200)[0] == 0 and gateway.counters(300)[0] == 1


def test_rules_know_what_has_come_back(routed, gateway):
    """`diverted`, and its kin for the way in and the way out."""
    gateway.load("add 50 count icmp from any to any icmptypes 8 diverted\n"
                 "add 100 divert 2001 icmp from any to any icmptypes 8 in\n"
                 "add 110 divert 2002 icmp from any to any icmptypes 8 out\n"
                 "add 200 count icmp from any to any icmptypes 8 diverted\n"
                 "add 210 count icmp from any to any icmptypes 8 diverted-loopback\n"
                 "add 220 count icmp from any to any icmptypes 8 diverted-output\n"
                 "add 230 count icmp from any to any icmptypes 0 diverted\n" + ALLOW)
    with Echo.of(gateway, 2001), Echo.of(gateway, 2002):
        assert routed.a.ping(routed.b.ipv4, 3)
    assert [gateway.counters(rule)[0] for rule in (50, 200, 210, 220, 230)] == [0, 6, 3, 3, 0]
