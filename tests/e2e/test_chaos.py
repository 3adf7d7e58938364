"""What goes wrong beside the packets, while packets go on: a daemon that stands still, clients without
manners, a full disk, versions that do not fit.

More of it: test_restart (kill), test_state_flood (states), test_fragments, test_divert (a program that
is too slow), test_lock_panic, test_two_colours (reloads), test_units (watchdogs).
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import Appliance, ControlSocket, Frozen, Wire
from lab.appliance import SOURCE
from lab.network import eventually
from scapy.all import IP, UDP, Ether

PING = "add 100 allow icmp from any to any\n"
SECONDS = float(os.environ.get("SLUICE_E2E_FLOOD_SECONDS", "5"))
READER = "daemon"


@contextmanager
def ping_without_loss(bed, at_least=10):
    """Twenty echoes a second meanwhile, and every one is answered."""
    child = bed.a.start("ping", "-n", "-q", "-i", "0.05", "-W", "5", bed.b.ipv4,
                        stdout=subprocess.PIPE)
    yield
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    text = child.communicate(timeout=10)[0].decode()
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
    assert sent >= at_least
    assert sent - received <= 1, text  # the last one may be on its way


def resident_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


def worker_threads(appliance):
    return [int(task.name) for task in Path(f"/proc/{appliance.dataplane.pid}/task").iterdir()
            if "worker" in (task / "comm").read_text()]


# ---- Somebody stands still -------------------------------------------------------------------------

def test_reload_does_not_wait_forever_for_a_worker(own_bed, build):
    """The reload ends in words, the old ruleset stays, and it stays when the worker is back."""
    with Appliance(own_bed.middle, build,
                   dataplane={"workers": 2, "reload_timeout_ms": 500, "idle": "poll"}) as appliance:
        appliance.start()
        appliance.load(PING)
        appliance.must("table", "wanted", "create")
        appliance.must("table", "wanted", "add", "192.0.2.0/24")
        before = appliance.must("list"), appliance.must("table", "wanted", "list")
        generation = appliance.dataplane_counters()["generation"]
        threads = worker_threads(appliance)
        assert len(threads) == 2
        with Frozen(threads[0]):
            start = time.monotonic()
            done = appliance.ipfw("add", "50", "deny", "ip", "from", "any", "to", "any")
            # Tables that change with rules: neither does.
            both = appliance.ipfw(appliance.rule_file(
                "table wanted delete 192.0.2.0/24\nadd 60 deny ip from not table(wanted) to any\n"))
            assert time.monotonic() - start < 10
            for finished in (done, both):
                assert finished.status == 69, finished.text
                assert re.search(r"worker \d has not moved for 500 ms, the old ruleset stays",
                                 finished.err), finished.err
            assert (appliance.must("list"), appliance.must("table", "wanted", "list")) == before
        assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, 3))
        assert (appliance.must("list"), appliance.must("table", "wanted", "list")) == before
        assert appliance.dataplane_counters()["generation"] == generation
        assert appliance.ipfw("add", "50", "count", "ip", "from", "any", "to", "any").status == 0
        assert appliance.running()


def test_control_plane_stands_still(own_bed, own_appliance):
    """Packets pass and are counted; log lines that nobody fetches are dropped and counted."""
    appliance = own_appliance
    appliance.start()
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose=1")
    appliance.load(PING + "add 200 deny log udp from any to any 53\n"
                   "add 300 deny ip from any to any\n")
    assert own_bed.a.ping(own_bed.b.ipv4)
    ring = 8192  # log_ring_records
    frame = bytes(Ether(src=own_bed.a.mac, dst=own_bed.b.mac) /
                  IP(src=own_bed.a.ipv4, dst=own_bed.b.ipv4) / UDP(sport=1024, dport=53) / b"query")
    counted = appliance.counters(100)[0]
    lines = len(appliance.log_lines())
    with ping_without_loss(own_bed):
        appliance.controlplane.send_signal(signal.SIGSTOP)
        try:
            with Wire(own_bed.a) as wire:
                def overflows():
                    for _ in range(1000):
                        wire.send(frame)
                    return appliance.dataplane_counters()["log_dropped"] > 0

                assert eventually(overflows, 30)
            time.sleep(1)
        finally:
            appliance.controlplane.send_signal(signal.SIGCONT)
    await_silence = eventually(
        lambda: len(appliance.log_lines()) - lines + appliance.dataplane_counters()["log_dropped"]
        >= appliance.counters(200)[0], 20)
    assert await_silence
    logged, dropped = len(appliance.log_lines()) - lines, appliance.dataplane_counters()["log_dropped"]
    assert logged >= ring
    # Lines of the daemon's own (that some were dropped) may be among them.
    assert 0 <= logged + dropped - appliance.counters(200)[0] <= 3
    assert appliance.counters(100)[0] > counted + 20
    assert appliance.ipfw("add", "400", "count", "ip", "from", "any", "to", "any").status == 0


def test_data_plane_before_its_first_ruleset(own_bed, build):
    """Everything is dropped and counted, also where the default action will be to accept."""
    with Appliance(own_bed.middle, build, controlplane={"default_action": "accept"}) as appliance:
        appliance.start_dataplane()
        assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
        assert appliance.drops()["no_ruleset"] > 0
        appliance.start_controlplane()
        assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, seconds=1))


# ---- Clients without manners -----------------------------------------------------------------------

FLOODER = r"""
import random, socket, struct, sys, time
path, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
held, tried = [], 0
while time.monotonic() < end:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(0.2)
    tried += 1
    try:
        client.connect(path)
        kind = random.randrange(5)
        if kind == 0:
            client.send(b"\xff\xff\xff\xff")              # four gigabytes are coming
        elif kind == 1:
            client.send(struct.pack("<I", 60 << 20) + b"{" * 65536)
        elif kind == 2:
            client.send(b"\x10")                          # and nothing more
        elif kind == 3:
            client.send(struct.pack("<I", 8) + b"garbage!")
            client.shutdown(socket.SHUT_WR)
        held.append(client)
    except OSError:
        client.close()
        time.sleep(0.002)
    if len(held) > 200:
        held.pop(random.randrange(len(held))).close()
print(tried)
"""


def test_flood_of_the_control_socket(own_bed, build):
    """Those who may only look do what they can; the administrator is answered within a second."""
    with Appliance(own_bed.middle, build, control={"read": [READER]}) as appliance:
        os.chmod(appliance.directory, 0o755)
        appliance.start()
        appliance.load(PING)
        assert own_bed.a.ping(own_bed.b.ipv4)
        memory = resident_bytes(appliance.controlplane)
        flooders = [subprocess.Popen(
            ["setpriv", f"--reuid={READER}", "--regid=nogroup", "--clear-groups",
             "/usr/bin/python3", "-c", FLOODER, str(appliance.control_socket), str(SECONDS)],
            stdout=subprocess.PIPE) for _ in range(2)]
        worst, most, number = 0, 0, 1000
        with ping_without_loss(own_bed):
            while any(flooder.poll() is None for flooder in flooders):
                start = time.monotonic()
                done = appliance.ipfw("-q", "add", number, "count", "ip", "from", "any", "to", "any")
                worst = max(worst, time.monotonic() - start)
                assert done.status == 0, done.text
                most = max(most, resident_bytes(appliance.controlplane))
                number += 1
        tried = [int(flooder.communicate()[0]) for flooder in flooders]
        print(f"\n{sum(tried)} clients, {number - 1000} commands, the worst {worst:.3f} s, "
              f"{(most - memory) >> 10} kB more")
        assert min(tried) > 100 and number > 1010
        assert worst < 1
        assert most - memory < 32 << 20
        assert appliance.running()


def test_a_control_plane_with_few_descriptors(own_bed, own_appliance):
    """Clients wait while it has none left, and it burns no CPU meanwhile."""
    appliance = own_appliance
    appliance.start_dataplane()
    appliance.start_controlplane()
    appliance.await_connection()
    appliance.load(PING)
    pid = appliance.controlplane.pid
    there = len(os.listdir(f"/proc/{pid}/fd"))
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={there + 8}:{there + 8}"], check=True)
    held = []
    with ping_without_loss(own_bed):
        for _ in range(40):
            held.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            held[-1].connect(str(appliance.control_socket))
        time.sleep(0.5)
        before = cpu_seconds(pid)
        time.sleep(1)
        assert cpu_seconds(pid) - before < 0.5
        for client in held:
            client.close()
        assert eventually(lambda: appliance.ipfw("list").status == 0)
    assert appliance.running()


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_scrapers_that_do_not_read(bed, appliance):
    """Their connections are theirs; everybody else gets the metrics and the control socket."""
    appliance.load(PING + "".join(f"add {1000 + i} count tcp from any to any {i + 1}\n"
                                  for i in range(2000)))
    held = []
    with bed.middle.inside():
        for _ in range(20):
            held.append(socket.create_connection(("127.0.0.1", 9655), 5))
    try:
        for client in held:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        with ping_without_loss(bed):
            for _ in range(5):
                start = time.monotonic()
                assert appliance.ipfw("list", 100).status == 0
                assert time.monotonic() - start < 1
                time.sleep(0.1)
    finally:
        for client in held:
            client.close()
    assert eventually(lambda: appliance.metrics().sum("sluice_ruleset_applies_total") > 0, 15)


# ---- Versions that do not fit ----------------------------------------------------------------------

def test_another_version_of_ipfw(bed, appliance):
    with ControlSocket(appliance.control_socket) as control:
        body = json.dumps({"version": control.version + 1, "operations": [{"do": "flush"}]}).encode()
        answer = control._exchange(struct.pack("<I", len(body)) + body)
    assert answer["status"] != 0
    assert "different versions" in answer["message"], answer


def test_another_version_of_the_control_plane(own_bed, own_appliance):
    """The data plane tells it to go, and serves the right one as before."""
    appliance = own_appliance
    appliance.start()
    appliance.load(PING)
    appliance.stop_controlplane(signal.SIGKILL)
    with ping_without_loss(own_bed, at_least=3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(5)
            client.connect(str(appliance.dataplane_socket))
            hello = client.recv(65536)
            magic, version, kind, length = struct.unpack_from("<IHHQ", hello)
            assert len(hello) == length
            client.send(struct.pack("<IHHQ", magic, version + 1, kind, 16))
            assert f"version {version + 1}".encode() in client.recv(65536)
        appliance.start_controlplane()
        appliance.await_connection()
    assert appliance.must("list").startswith("00100 allow icmp from any to any\n")


# ---- No room ---------------------------------------------------------------------------------------

@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    folder = tmp_path / "log"
    folder.mkdir()
    tmp_path.chmod(0o755)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=64,mode=755", "tmpfs", str(folder)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_packets_that_nobody_reads(own_bed, build):
    """What every queue holds at most leaves enough buffers for those who want none of them: a program
    that does not read its diverted packets, and fragments whose rest never comes."""
    from lab import ALLOW
    with Appliance(own_bed.middle, build) as appliance:
        appliance.start()
        appliance.load("add 100 divert 2000 udp from any to any 7000\n"
                       "add 200 reass ip from any to any frag\n" + ALLOW)
        size = appliance.metrics().value("sluice_mempool_size", port="em0")
        assert size > 1000
        sys.path.append(str(SOURCE / "deploy/examples"))
        from divert_echo import Divert
        reader = Divert(2000, str(appliance.divert_socket))
        head = Ether(src=own_bed.a.mac, dst=own_bed.b.mac)
        addresses = {"src": own_bed.a.ipv4, "dst": own_bed.b.ipv4}
        diverted = bytes(head / IP(**addresses) / UDP(sport=1, dport=7000) / (b"x" * 1400))
        pieces = [bytes(head / IP(**addresses, id=n, flags="MF", proto=17) / (b"x" * 1400))
                  for n in range(4000)]
        with Wire(own_bed.a) as wire:
            for first in range(0, len(pieces), 100):
                for piece in pieces[first:first + 100]:
                    wire.send(piece)
                    wire.send(diverted)
                time.sleep(0.005)
        drops = appliance.drops()
        assert drops["divert_queue_full"] > 0 or drops["fragment_evicted"] > 0, drops
        with ping_without_loss(own_bed):
            time.sleep(2.5)
        metrics = appliance.metrics()
        free = metrics.value("sluice_mempool_available", port="em0")
        print(f"\n{free:.0f} of {size:.0f} buffers are free")
        assert free > size / 10
        assert metrics.value("sluice_port_link_up", port="em0") == 1
        reader.socket.close()
        assert eventually(lambda: appliance.metrics().value(
            "sluice_mempool_available", port="em0") > size * 0.4, 60)


def test_full_disk_below_the_log(own_bed, build, small_disk):
    """Filtering goes on, the operator is told now and then, and lines come again when there is room."""
    log = small_disk / "ipfw.log"
    with Appliance(own_bed.middle, build, controlplane={"log_file": log}) as appliance:
        appliance.start()
        appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose=1")
        appliance.load("add 100 allow log icmp from any to any\n")
        assert own_bed.a.ping(own_bed.b.ipv4)
        assert eventually(lambda: "ipfw: 100 Accept" in log.read_text())
        ballast = small_disk / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        with ping_without_loss(own_bed):
            time.sleep(2)
        said = [line for line in appliance.output("controlplane").splitlines()
                if "No space left" in line and "ipfw.log" in line]
        assert 1 <= len(said) <= 2, appliance.output("controlplane")
        assert appliance.metrics().value("sluice_log_write_errors_total") > 0
        before = cpu_seconds(appliance.controlplane.pid)
        time.sleep(1)
        assert cpu_seconds(appliance.controlplane.pid) - before < 0.5
        ballast.unlink()
        length = len(log.read_text())
        assert own_bed.a.ping(own_bed.b.ipv4, 2)
        assert eventually(lambda: "ipfw: 100 Accept" in log.read_text()[length:])
        assert appliance.running()
