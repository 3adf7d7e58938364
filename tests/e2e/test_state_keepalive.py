"""Keepalives: a silent connection is asked on both sides for a sign of life."""

import time
from dataclasses import dataclass

import pytest
from lab import Wire, connect, echo_server
from scapy.all import IP, TCP, Ether

pytestmark = pytest.mark.waits

PORT = 7000
LIFETIME = 6  # seconds that a silent connection lives


@dataclass
class Segment:
    when: float
    source: str
    flags: int
    sequence: int
    acknowledgement: int
    length: int
    hardware: tuple


def segments(wire, port, seconds=0.2):
    """Everything of the connection that has come to this host."""
    found = []
    for data in wire.receive(lambda frame: True, seconds, count=1 << 30):
        frame = Ether(data)
        if TCP in frame and port in (frame[TCP].sport, frame[TCP].dport):
            ip, tcp = frame[IP], frame[TCP]
            found.append(Segment(time.monotonic(), ip.src, int(tcp.flags), tcp.seq, tcp.ack,
                                 ip.len - 4 * ip.ihl - 4 * tcp.dataofs, (frame.src, frame.dst)))
    return found


@pytest.fixture
def idle(stateful):
    """(bed, appliance, connection, wire of A, wire of B): a connection that has talked once."""
    bed, appliance = stateful
    appliance.must("-q", "sysctl", f"net.inet.ip.fw.dyn_ack_lifetime={LIFETIME}")
    appliance.load("add 50 check-state\n"
                   f"add 100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} setup keep-state\n"
                   "add 300 deny ip from any to any\n")
    with echo_server(bed.b, PORT, bed.b.ipv4), Wire(bed.a) as near, Wire(bed.b) as far:
        connection = connect(bed.a, bed.b.ipv4, PORT)
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        yield bed, appliance, connection, near, far
        connection.close()


def talks(connection):
    try:
        connection.sendall(b"still there?")
        return connection.recv(100) == b"still there?"
    except TimeoutError:
        return False


def test_idle_connection_lives_on(idle):
    bed, appliance, connection, near, far = idle
    port = connection.getsockname()[1]
    sent = appliance.dataplane_counters()["keepalives_sent"]
    time.sleep(0.3)
    to_a, to_b = segments(near, port), segments(far, port)
    early = {near: to_a, far: to_b}
    last_to_a = max((segment for segment in to_a if segment.length), key=lambda s: s.sequence)
    # What each side has acknowledged last is what it expects next.
    ack_of_a = max(segment.acknowledgement for segment in to_b)
    ack_of_b = max(segment.acknowledgement for segment in to_a)
    assert ack_of_a == (last_to_a.sequence + last_to_a.length) % 2**32

    time.sleep(21)
    assert appliance.state_count() == 1
    # So that all that were sent have come when they are counted.
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_keepalive=0")
    time.sleep(0.5)
    probes = []
    for wire, host, peer, expects, has in ((near, bed.a, bed.b, ack_of_a, ack_of_b),
                                           (far, bed.b, bed.a, ack_of_b, ack_of_a)):
        # The first may have come with the connection's own segments.
        seen = [segment for segment in early[wire]
                if segment.flags == 0x10 and segment.sequence == (expects - 1) % 2**32]
        seen += segments(wire, port)
        assert all(segment.flags == 0x10 and segment.length == 0 for segment in seen)
        asked = [segment for segment in seen if segment.sequence != expects]
        answers = [segment for segment in seen if segment.sequence == expects]
        for probe in asked:
            assert (probe.source, probe.sequence, probe.acknowledgement) == (
                peer.ipv4, (expects - 1) % 2**32, has)
            assert probe.hardware == (peer.mac, host.mac)
        # One every five seconds; of each pair both are answered.
        assert 3 <= len(asked) <= 5
        assert len(answers) >= len(asked) - 1
        probes += asked
    assert appliance.dataplane_counters()["keepalives_sent"] - sent == len(probes)
    assert talks(connection)


def test_without_keepalives_it_dies(idle):
    bed, appliance, connection, near, far = idle
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_keepalive=0")
    port = connection.getsockname()[1]
    time.sleep(0.3)
    segments(near, port), segments(far, port)
    sent = appliance.dataplane_counters()["keepalives_sent"]
    time.sleep(LIFETIME + 1.5)
    assert segments(near, port) == [] and segments(far, port) == []
    assert appliance.dataplane_counters()["keepalives_sent"] == sent
    assert appliance.state_count() == 0
    connection.settimeout(1)
    assert not talks(connection)
