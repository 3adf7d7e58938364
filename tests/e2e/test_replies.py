"""reject, unreach and reset: what arrives at the sender, field by field."""

import time

import pytest
from lab import Appliance, Wire
from scapy.all import (ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6,
                       raw)

ACK, RST = 0x10, 0x04


def ethernet(bed):
    return Ether(src=bed.a.mac, dst=bed.b.mac)


def answer_to(bed, packet, seconds=3.0):
    """Sends a packet from A; the frame that comes back to A, or None. B must see nothing."""
    request = Ether(raw(packet))
    bed.static_neighbours()
    with Wire(bed.a) as near, Wire(bed.b) as far:
        near.send(raw(request))
        found = near.receive(lambda frame: is_answer(Ether(frame), request), seconds)
        assert not far.receive(lambda frame: frame == raw(request), 0.2)
    return Ether(found[0]) if found else None


def is_answer(frame, request):
    if frame.dst != request.src or frame.src != request.dst:
        return False
    for layer in (IP, IPv6):
        if layer in frame and layer in request:
            return frame[layer].src == request[layer].dst and frame[layer].dst == request[layer].src
    return False


def checksums_are_right(frame):
    """Lets scapy compute all checksums and lengths again."""
    again = Ether(raw(frame))
    for layer, names in ((IP, ("len", "chksum")), (TCP, ("chksum",)), (ICMP, ("chksum",)),
                         (IPv6, ("plen",)), (ICMPv6DestUnreach, ("cksum",))):
        # The quoted packet inside an ICMP error is not ours to correct.
        if layer in again and not (layer is TCP and (ICMP in again or ICMPv6DestUnreach in again)):
            for name in names:
                delattr(again[layer], name)
    return raw(again)[:len(raw(frame))] == raw(frame)


UDP_PORT = 33434


@pytest.mark.parametrize("action,code,mtu", [
    ("reject", 1, 0), ("unreach host", 1, 0), ("unreach net", 0, 0), ("unreach port", 3, 0),
    ("unreach filter-prohib", 13, 0), ("unreach needfrag 1400", 4, 1400), ("unreach 10", 10, 0)])
def test_icmp_unreachable(bed, appliance, action, code, mtu):
    appliance.load(f"add 100 {action} udp from any to any {UDP_PORT}\n")
    request = ethernet(bed) / IP(src=bed.a.ipv4, dst=bed.b.ipv4, ttl=33, id=0x4321) / UDP(
        sport=5353, dport=UDP_PORT) / b"a question of some length"
    frame = answer_to(bed, request)
    assert frame is not None
    ip, icmp = frame[IP], frame[ICMP]
    assert (ip.src, ip.dst, ip.version, ip.ihl, ip.ttl) == (bed.b.ipv4, bed.a.ipv4, 4, 5, 64)
    assert (ip.flags.MF, ip.frag) == (False, 0)
    assert (icmp.type, icmp.code) == (3, code)
    assert raw(icmp)[4:8] == b"\0\0" + mtu.to_bytes(2, "big")
    quoted = raw(request[IP])
    assert raw(icmp)[8:8 + 28] == quoted[:28]
    assert checksums_are_right(frame)
    assert appliance.counters(100) == (1, len(quoted))


@pytest.mark.parametrize("action,code", [("unreach6 admin-prohib", 1), ("unreach6 port", 4),
                                         ("unreach port", 4), ("unreach6 no-route", 0)])
def test_icmp6_unreachable(bed, appliance, action, code):
    appliance.load(f"add 100 {action} udp from any to any {UDP_PORT}\n")
    request = ethernet(bed) / IPv6(src=bed.a.ipv6, dst=bed.b.ipv6, hlim=7) / UDP(
        sport=5353, dport=UDP_PORT) / b"a question of some length"
    frame = answer_to(bed, request)
    assert frame is not None
    ip, error = frame[IPv6], frame[ICMPv6DestUnreach]
    assert (ip.src, ip.dst, ip.hlim, ip.nh) == (bed.b.ipv6, bed.a.ipv6, 64, 58)
    assert (error.type, error.code) == (1, code)
    assert raw(error)[4:8] == bytes(4)
    assert raw(error)[8:] == raw(request[IPv6])
    assert checksums_are_right(frame)


@pytest.mark.parametrize("address", [("ipv4", "reset"), ("ipv6", "reset"), ("ipv6", "reset6")],
                         ids=lambda pair: "-".join(pair))
@pytest.mark.parametrize("flags,sequence,acknowledgement,reset_flags", [
    ("S", 0, 1001, RST | ACK), ("A", 7777, 0, RST), ("PA", 7777, 0, RST), ("SA", 7777, 0, RST),
    ("F", 0, 1001, RST | ACK)])
def test_reset(bed, appliance, address, flags, sequence, acknowledgement, reset_flags):
    family, action = address
    appliance.load(f"add 100 {action} tcp from any to any 9000\n")
    layer = IP if family == "ipv4" else IPv6
    request = ethernet(bed) / layer(src=getattr(bed.a, family), dst=getattr(bed.b, family)) / TCP(
        sport=40001, dport=9000, seq=1000, ack=7777, flags=flags, window=512)
    frame = answer_to(bed, request)
    assert frame is not None
    tcp = frame[TCP]
    assert (tcp.sport, tcp.dport) == (9000, 40001)
    assert int(tcp.flags) == reset_flags
    assert tcp.seq == sequence
    if reset_flags & ACK:
        # A SYN takes one number, and so does, for those who count it, a FIN.
        assert tcp.ack in ((1001,) if flags == "S" else (1000, 1001))
    assert (tcp.dataofs, tcp.urgptr) == (5, 0)
    assert checksums_are_right(frame)
    if family == "ipv4":
        assert (frame[IP].ttl, frame[IP].len, frame[IP].frag) == (64, 40, 0)
    else:
        assert (frame[IPv6].hlim, frame[IPv6].plen) == (64, 20)
    assert appliance.counters(100)[0] == 1


def test_vlan_tag_is_kept(bed, appliance):
    appliance.load("add 100 reset tcp from any to any\n")
    request = Ether(src=bed.a.mac, dst=bed.b.mac) / Dot1Q(vlan=321, prio=5) / IP(
        src=bed.a.ipv4, dst=bed.b.ipv4) / TCP(sport=1, dport=2, flags="S")
    frame = answer_to(bed, request)
    assert frame is not None and frame[Dot1Q].vlan == 321
    assert frame[TCP].flags == "RA" and checksums_are_right(frame)


@pytest.mark.parametrize("name", ["reset", "icmp error", "later fragment", "broadcast", "multicast",
                                  "reset for udp", "v6 action for v4"])
def test_what_is_not_answered(bed, appliance, name):
    """Dropped and counted like the others, and nothing comes back."""
    ip = IP(src=bed.a.ipv4, dst=bed.b.ipv4)
    head = ethernet(bed)
    action, packet = {
        "reset": ("reset", head / ip / TCP(flags="R")),
        "icmp error": ("unreach host", head / ip / ICMP(type=3, code=3) / raw(ip / UDP())),
        "later fragment": ("unreach host",
                           head / IP(src=ip.src, dst=ip.dst, frag=100, proto=17) / bytes(40)),
        "broadcast": ("unreach host", Ether(src=bed.a.mac, dst="ff:ff:ff:ff:ff:ff") / ip / UDP()),
        "multicast": ("unreach host",
                      Ether(src=bed.a.mac, dst="01:00:5e:00:00:05") /
                      IP(src=bed.a.ipv4, dst="224.0.0.5") / UDP()),
        "reset for udp": ("reset", head / ip / UDP()),
        "v6 action for v4": ("unreach6 port", head / ip / UDP()),
    }[name]
    appliance.load(f"add 100 {action} ip4 from any to any\n")
    sent = appliance.dataplane_counters()["replies_sent"]
    assert answer_to(bed, packet, seconds=1) is None
    assert appliance.counters(100)[0] == 1
    assert appliance.dataplane_counters()["replies_sent"] == sent


def test_echo_request_is_answered(bed, appliance):
    appliance.load("add 100 unreach filter-prohib icmp from any to any icmptypes 8\n"
                   "add 200 unreach6 admin-prohib ipv6-icmp from any to any icmp6types 128\n"
                   "add 300 allow ip from any to any\n")
    frame = answer_to(bed, ethernet(bed) / IP(src=bed.a.ipv4, dst=bed.b.ipv4) / ICMP(id=9))
    assert frame is not None and frame[ICMP].code == 13
    frame = answer_to(bed, ethernet(bed) / IPv6(src=bed.a.ipv6, dst=bed.b.ipv6) /
                      ICMPv6EchoRequest(id=9))
    assert frame is not None and frame[ICMPv6DestUnreach].code == 1


@pytest.mark.parametrize("address", ["ipv4", "ipv6"])
def test_reset_makes_a_connection_fail_at_once(bed, appliance, address):
    server = bed.b.listen(8081)
    try:
        appliance.load("add 100 reset tcp from any to any 8081\nadd 200 allow ip from any to any\n")
        host = bed.b.ipv4 if address == "ipv4" else f"[{bed.b.ipv6}]"
        start = time.monotonic()
        done = bed.a.curl(f"http://{host}:8081/", seconds=20)
        assert done.returncode == 7, done.stderr  # could not connect
        assert time.monotonic() - start < 5
        appliance.load("add 100 unreach port tcp from any to any 8081\n"
                       "add 200 allow ip from any to any\n")
        assert bed.a.curl(f"http://{host}:8081/", seconds=20).returncode == 7
    finally:
        server.kill()


def test_replies_have_a_budget(own_bed, build):
    with Appliance(own_bed.middle, build, reply={"rate": 5, "burst": 5}) as appliance:
        appliance.start()
        appliance.load("add 100 reset tcp from any to any\nadd 200 allow ip from any to any\n")
        packet = raw(ethernet(own_bed) / IP(src=own_bed.a.ipv4, dst=own_bed.b.ipv4) / TCP(flags="S"))
        with Wire(own_bed.a) as near:
            for _ in range(200):
                near.send(packet)
            deadline = time.monotonic() + 10
            while appliance.counters(100)[0] < 200 and time.monotonic() < deadline:
                time.sleep(0.1)
        counters = appliance.dataplane_counters()
        assert appliance.counters(100)[0] == 200
        assert 5 <= counters["replies_sent"] <= 60
        assert counters["replies_limited"] == 200 - counters["replies_sent"]
