"""States with real programs: what they let back in, how long they live, how many there may be."""

import re
import socket
import subprocess
import time

import pytest
from lab import Stream, Wire, connect, echo_server
from lab.network import eventually
from scapy.all import ICMP, IP, TCP, UDP, Dot1Q, Ether, raw

PORT = 7000
# 00100 49 6964 (300s) STATE tcp 192.0.2.2 52088 <-> 192.0.2.1 7000 :default
COUNTED = r"{rule:05d} +(\d+) +(\d+) \((\d+)s\) {kind} {what} :{name}"
HEADING = r"## Dynamic rules \((\d+) (\d+)\):"


def from_a(bed, options="keep-state"):
    """Connections from A to B, and nothing else."""
    return ("add 50 check-state\n"
            f"add 100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} setup {options}\n"
            "add 300 deny ip from any to any\n")


def refused(host, address, port, seconds=1.0):
    """Nobody answers; where a reset came back, this fails."""
    try:
        connect(host, address, port, seconds).close()
    except TimeoutError:
        return True
    return False


def state_line(text, rule, what, kind="STATE", name="default"):
    """(packets, bytes, seconds) of the one line with this flow."""
    pattern = COUNTED.format(rule=rule, kind=kind, what=what, name=name)
    found = [match for line in text.splitlines() if (match := re.fullmatch(pattern, line))]
    assert len(found) == 1, text
    return tuple(map(int, found[0].groups()))


def frame(bed, layer, back=False, vlan=None):
    """Between hosts with the bed's addresses but other hardware, so that no kernel answers."""
    source, destination = (bed.b.ipv4, bed.a.ipv4) if back else (bed.a.ipv4, bed.b.ipv4)
    ethernet = Ether(src="02:00:00:00:00:c1", dst="02:00:00:00:00:c2")
    if vlan is not None:
        ethernet /= Dot1Q(vlan=vlan)
    return raw(ethernet / IP(src=source, dst=destination) / layer)


def arrives(sender, receiver, packet):
    receiver.drain()
    sender.send(packet)
    return bool(receiver.receive(lambda found: found == packet))


def dropped(appliance, rule, sender, receiver, packet):
    """Whether the rule counts the packet, and it does not arrive."""
    receiver.drain()
    counted = appliance.counters(rule)[0]
    sender.send(packet)
    return (eventually(lambda: appliance.counters(rule)[0] == counted + 1, 5)
            and not receiver.receive(lambda found: found == packet, 0.01))


# ---- What passes ---------------------------------------------------------------------------------


def test_connections_pass_and_probes_do_not(stateful):
    bed, appliance = stateful
    servers = [bed.b.listen(8080, "page\n"), bed.a.listen(8081, "inside\n")]
    try:
        appliance.load(from_a(bed))
        for _ in range(20):
            done = bed.a.curl(f"http://{bed.b.ipv4}:8080/")
            assert (done.returncode, done.stdout) == (0, "page\n"), done.stderr
        made = appliance.dataplane_counters()["states_made"]
        assert made >= 20
        # As long as the state of a closed connection lives, it is not yet one of the probed ports.
        assert eventually(lambda: appliance.state_count() == 0, 5)

        def probe(kind):
            return bed.b.run("nmap", "-n", "-Pn", kind, "-p", "8081,22", "--max-retries", "0",
                             "--host-timeout", "20s", bed.a.ipv4).stdout

        counted = appliance.counters(300)[0]
        assert probe("-sS").count(" filtered ") == 2
        assert probe("-sA").count(" filtered ") == 2
        assert probe("-sF").count(" open|filtered ") == 2
        assert appliance.counters(300)[0] >= counted + 6
        assert appliance.dataplane_counters()["states_made"] == made
        appliance.load("add 100 allow ip from any to any\n")
        assert probe("-sA").count(" unfiltered ") == 2
    finally:
        for server in servers:
            server.kill()


def test_bulk(stateful):
    """Two seconds of iperf3, each way: one state for each connection counts all its packets, and none
    is lost on the way between workers."""
    bed, appliance = stateful
    # On a busy machine the last packets of a connection that was reset may come more than the
    # usual second behind the reset.
    for name in ("dyn_fin_lifetime", "dyn_rst_lifetime"):
        appliance.must("-q", "sysctl", f"net.inet.ip.fw.{name}=4")
    server = bed.b.start("iperf3", "-s", "-1", stdout=subprocess.PIPE)
    try:
        appliance.load(from_a(bed) + "add 200 deny tcp from any to any 5201\n"
                       "add 210 deny tcp from any 5201 to any\n")
        assert eventually(lambda: bed.b.run("ss", "-Hltn", "sport = :5201").stdout)
        before = appliance.dataplane_counters()
        done = bed.a.run("iperf3", "-c", bed.b.ipv4, "-t", "2", "-J", "--bidir", "-P", "4")
        assert done.returncode == 0, done.stdout
        packets, octets = appliance.counters(100)
        assert octets > 1_000_000 and packets > 1000
        after = appliance.dataplane_counters()
        # Four each way for the data, one for the control connection.
        assert after["states_made"] - before["states_made"] == 9
        assert after["drops"]["handover_full"] == before["drops"]["handover_full"]
        if appliance.workers == 2:
            assert after["handed_over"] - before["handed_over"] > 1000
        assert (appliance.counters(200)[0], appliance.counters(210)[0]) == (0, 0)
    finally:
        server.kill()


def test_handed_over(stateful):
    """With two workers, half of the flows come to the wrong one, and work all the same."""
    bed, appliance = stateful
    appliance.load(from_a(bed))
    before = appliance.dataplane_counters()
    with echo_server(bed.b, PORT, bed.b.ipv4):
        connections = [connect(bed.a, bed.b.ipv4, PORT) for _ in range(40)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
            assert connection.recv(100) == b"%d" % number
        assert appliance.state_count() == 40
        for connection in connections:
            connection.close()
    after = appliance.dataplane_counters()
    if appliance.workers == 1:
        assert after["handed_over"] == before["handed_over"]
    else:
        assert after["handed_over"] > before["handed_over"]
        assert after["drops"]["handover_full"] == before["drops"]["handover_full"]
    assert after["states_made"] == before["states_made"] + 40


def test_datagrams_and_echo(stateful):
    bed, appliance = stateful
    appliance.load("add 50 check-state\n"
                   f"add 100 allow udp from {bed.a.ipv4} to {bed.b.ipv4} 53 keep-state\n"
                   f"add 110 allow icmp from {bed.a.ipv4} to any icmptypes 8 keep-state :ping\n"
                   "add 300 deny ip from any to any\n")
    with echo_server(bed.b, 53, bed.b.ipv4, socket.SOCK_DGRAM), bed.a.inside(), socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        for text in (b"first", b"second"):
            client.sendto(text, (bed.b.ipv4, 53))
            assert client.recv(100) == text
        port = client.getsockname()[1]
    # ICMP has no ports: while A's state lives, B may ask as well.
    assert not bed.b.ping(bed.a.ipv4, seconds=1)
    assert bed.a.ping(bed.b.ipv4, 3)
    listing = appliance.must("-D", "show")
    # The packet that makes a state is counted by its rule alone.
    octets = 28 + 5 + 2 * (28 + 6)
    assert state_line(listing, 100, f"udp {bed.a.ipv4} {port} <-> {bed.b.ipv4} 53")[:2] == (3, octets)
    assert state_line(listing, 110, f"icmp {bed.a.ipv4} 0 <-> {bed.b.ipv4} 0",
                      name="ping")[:2] == (5, 5 * 84)
    assert appliance.counters(100) == (4, octets + 28 + 5)
    assert appliance.counters(110) == (6, 6 * 84)


def test_vlan(stateful):
    """Tagged frames both ways, of flows enough for every worker."""
    bed, appliance = stateful
    # What the hosts' kernels send by themselves must not be counted by the rule that is looked at.
    appliance.load("add 50 check-state\n"
                   f"add 100 allow tcp from {bed.a.ipv4} to any setup keep-state\n"
                   "add 300 deny tcp from any to any\n"
                   "add 310 deny ip from any to any\n")
    before = appliance.dataplane_counters()["handed_over"]
    with Wire(bed.a) as near, Wire(bed.b) as far:
        for port in range(41000, 41020):
            there = frame(bed, TCP(sport=port, dport=80, flags="S", seq=7), vlan=7)
            back = frame(bed, TCP(sport=80, dport=port, flags="SA", seq=9, ack=8), True, vlan=7)
            assert dropped(appliance, 300, far, near, back)
            assert arrives(near, far, there)
            assert arrives(far, near, back)
    assert appliance.state_count() == 20
    if appliance.workers == 2:
        assert appliance.dataplane_counters()["handed_over"] > before


def test_ipv6(stateful):
    bed, appliance = stateful
    appliance.load("add 50 check-state\n"
                   f"add 100 allow tcp from {bed.a.ipv6} to any setup keep-state\n"
                   f"add 110 allow ipv6-icmp from {bed.a.ipv6} to {bed.b.ipv6} keep-state\n"
                   "add 300 deny ip from any to any\n")
    with echo_server(bed.b, PORT, bed.b.ipv6), echo_server(bed.a, PORT, bed.a.ipv6):
        with Stream(bed.a, bed.b.ipv6, PORT) as stream:
            assert stream.goes_on()
            line = state_line(appliance.must("-D", "show"), 100,
                              f"tcp {bed.a.ipv6} {stream.port} <-> {bed.b.ipv6} {PORT}")
            assert line[0] > 20 and line[2] in (299, 300)
        assert stream.error is None
        assert refused(bed.b, bed.a.ipv6, PORT)
    assert bed.a.ping(bed.b.ipv6, 3)


# ---- Listings ------------------------------------------------------------------------------------


def test_listings(stateful):
    bed, appliance = stateful
    appliance.load(from_a(bed))
    rules = ("00050 check-state :default\n"
             f"00100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} setup keep-state :default\n"
             "00300 deny ip from any to any\n65535 deny ip from any to any\n")
    assert appliance.must("-d", "list") == rules
    assert appliance.must("-D", "list") == ""
    with echo_server(bed.b, PORT, bed.b.ipv4):
        connection = connect(bed.a, bed.b.ipv4, PORT)
        for _ in range(10):
            connection.sendall(b"x" * 100)
            connection.recv(100)
        time.sleep(0.3)  # the last ACK may be delayed
        flow = (f"tcp {bed.a.ipv4} {connection.getsockname()[1]} <-> {bed.b.ipv4} {PORT}")
        plain = rf"## Dynamic rules \(1 144\):\n00100 \((299|300)s\) STATE {flow} :default\n"
        assert re.fullmatch(re.escape(rules) + plain, appliance.must("-d", "list"))
        assert re.fullmatch(plain, appliance.must("-D", "list"))
        shown = appliance.must("-d", "show")
        assert re.search(HEADING, shown).groups() == ("1", "144")
        packets, octets, _ = state_line(shown, 100, flow)
        # All but the SYN, which the rule alone has counted: 60 bytes.
        assert appliance.counters(100) == (packets + 1, octets + 60)
        assert packets >= 22 and octets > 20 * 152
        assert state_line(appliance.must("-a", "-D", "list"), 100, flow)[:2] == (packets, octets)
        connection.close()


# ---- Time ----------------------------------------------------------------------------------------


def test_lifetimes(stateful):
    """Those of ipfw, where nobody has set others."""
    bed, appliance = stateful
    appliance.load(f"add 100 allow ip from {bed.a.ipv4} to {bed.b.ipv4} keep-state\n")
    flow = f"{bed.a.ipv4} {{}} <-> {bed.b.ipv4} {{}}"
    with Wire(bed.a) as near, Wire(bed.b) as far:
        for layer, what, seconds in (
                (TCP(sport=41000, dport=80, flags="S"), "tcp " + flow.format(41000, 80), 20),
                (UDP(sport=41000, dport=53), "udp " + flow.format(41000, 53), 10),
                (ICMP(type=8), "icmp " + flow.format(0, 0), 5)):
            assert arrives(near, far, frame(bed, layer))
            assert state_line(appliance.must("-D", "show"), 100, what)[2] in (seconds - 1, seconds)


@pytest.mark.parametrize("kind", ["syn", "udp"])
def test_time_outs(stateful, kind):
    """Until the time is up the way back is open; then it is closed and nothing is left."""
    bed, appliance = stateful
    appliance.must("-q", "sysctl", f"net.inet.ip.fw.dyn_{kind}_lifetime=3")
    appliance.load("add 50 check-state\n"
                   f"add 100 allow ip from {bed.a.ipv4} 41000 to {bed.b.ipv4} keep-state\n"
                   "add 200 deny ip from any to any 41000\n"
                   "add 300 deny ip from any to any\n")
    there, back = {
        "syn": (TCP(sport=41000, dport=80, flags="S", seq=7),
                TCP(sport=80, dport=41000, flags="SA", seq=9, ack=8)),
        "udp": (UDP(sport=41000, dport=53) / b"question", UDP(sport=53, dport=41000) / b"answer"),
    }[kind]
    with Wire(bed.a) as near, Wire(bed.b) as far:
        assert dropped(appliance, 200, far, near, frame(bed, back, back=True))
        assert arrives(near, far, frame(bed, there))
        assert appliance.state_count() == 1
        if kind == "udp":
            assert arrives(far, near, frame(bed, back, back=True))
        time.sleep(4.1)
        assert dropped(appliance, 200, far, near, frame(bed, back, back=True))
    assert appliance.state_count() == 0
    assert eventually(lambda: appliance.dataplane_counters()["states"] == 0, 3)


def test_closed_connection_goes(stateful):
    bed, appliance = stateful
    appliance.load(from_a(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4):
        connection = connect(bed.a, bed.b.ipv4, PORT)
        time.sleep(2.5)
        assert appliance.state_count() == 1
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
        connection.close()
        start = time.monotonic()
        assert eventually(lambda: appliance.dataplane_counters()["states"] == 0, 4)
        assert time.monotonic() - start < 3.5


# ---- How many ------------------------------------------------------------------------------------


def test_limit(stateful):
    """Three connections where two may be: the third is dropped with a line in the log, and made as
    soon as one of the others is closed."""
    bed, appliance = stateful
    appliance.load(from_a(bed, "limit src-addr 2"))
    with echo_server(bed.b, PORT, bed.b.ipv4):
        first, second = (connect(bed.a, bed.b.ipv4, PORT) for _ in range(2))
        drops = appliance.drops()["state_limit"]
        assert refused(bed.a, bed.b.ipv4, PORT, 1.5)
        assert appliance.drops()["state_limit"] > drops
        line = rf"ipfw: 100 drop session type 40 {bed.a.ipv4} \d+ -> {bed.b.ipv4} {PORT}, "
        assert eventually(lambda: appliance.log_lines(), 3)
        for found in appliance.log_lines():
            assert re.fullmatch(line + r"\d too many entries", found)
        listing = appliance.must("-D", "show")
        assert listing.count(" LIMIT tcp ") == 2
        state_line(listing, 100, rf"tcp {bed.a.ipv4} 0 <-> 0\.0\.0\.0 0", kind="PARENT 2")
        first.sendall(b"still there")
        assert first.recv(100) == b"still there"
        first.close()
        assert eventually(lambda: appliance.state_count() == 1, 5)
        third = connect(bed.a, bed.b.ipv4, PORT)
        for connection in (second, third):
            connection.sendall(b"answer")
            assert connection.recv(100) == b"answer"
            connection.close()


def test_disabled_set(stateful):
    """Connections that were there go on, new ones are not made."""
    bed, appliance = stateful
    appliance.load(from_a(bed).replace("add 100 ", "add 100 set 5 "))
    with echo_server(bed.b, PORT, bed.b.ipv4), Stream(bed.a, bed.b.ipv4, PORT) as stream:
        assert stream.goes_on()
        appliance.must("-q", "set", "disable", 5)
        assert stream.goes_on()
        assert refused(bed.a, bed.b.ipv4, PORT)
        assert "# DISABLED 00100 set 5 allow tcp " in appliance.must("-S", "list")
        assert "00100" not in appliance.must("list")
        assert stream.goes_on()
        appliance.must("-q", "set", "enable", 5)
        connect(bed.a, bed.b.ipv4, PORT).close()
        assert "\n00100 set 5 allow tcp " in appliance.must("-S", "list")
        assert stream.goes_on()
        assert stream.finish().error is None
