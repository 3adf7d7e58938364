"""Packets that nobody should send: each is counted under its reason, none does any harm."""

import random

import pytest
from lab import Wire
from lab.network import eventually
from scapy.all import (AH, ICMP, IP, TCP, UDP, Ether, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                       IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, raw)

HEAD = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
IP4 = IP(src="192.0.2.2", dst="192.0.2.1")
IP6 = IPv6(src="fd7a:803f:cc4b::2", dst="fd7a:803f:cc4b::1")


def cut(packet, octets):
    """The frame without its last octets; the IP header still promises them."""
    return raw(packet)[:-octets]


# name, frame, reason
MALFORMED = [
    ("IPv4 header cut", raw(HEAD / IP4)[:14 + 12], "short_frame"),
    ("IPv6 header cut", raw(HEAD / IP6)[:14 + 30], "short_frame"),
    ("inner tag without a type", raw(HEAD)[:12] + bytes.fromhex("8100006481000000"), "short_frame"),
    ("five VLAN tags", raw(HEAD)[:12] + bytes.fromhex("81000064" * 5) + raw(HEAD / IP4 / UDP())[12:],
     "vlan_tags"),
    ("IPv4 version 5", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, version=5) / UDP()), "bad_ipv4_header"),
    ("IPv4 header of 16 octets", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, ihl=4) / UDP()),
     "bad_ipv4_header"),
    ("IPv4 length below its header", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, len=19) / UDP()),
     "bad_ipv4_length"),
    ("IPv4 length beyond the frame", cut(HEAD / IP4 / UDP() / (b"x" * 50), 20), "bad_ipv4_length"),
    ("IPv4 options beyond the frame",
     raw(HEAD / IP(src=IP4.src, dst=IP4.dst, ihl=15, len=60)) + bytes(20), "bad_ipv4_length"),
    ("IPv6 version 4", raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, version=4) / UDP()),
     "bad_ipv6_header"),
    ("IPv6 length beyond the frame", cut(HEAD / IP6 / UDP() / (b"x" * 50), 20), "bad_ipv6_length"),
    ("TCP header cut", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, proto=6) / bytes(19)),
     "short_transport"),
    ("UDP header cut", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, proto=17) / bytes(7)),
     "short_transport"),
    ("ICMP header cut", raw(HEAD / IP(src=IP4.src, dst=IP4.dst, proto=1) / bytes(3)),
     "short_transport"),
    ("first fragment with half a TCP header",
     raw(HEAD / IP(src=IP4.src, dst=IP4.dst, proto=6, flags="MF") / bytes(8)), "short_transport"),
    ("TCP header cut, IPv6", raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=6) / bytes(19)),
     "short_transport"),
    ("ICMPv6 header cut", raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=58) / bytes(3)),
     "short_transport"),
    ("TCP fragment with offset 1",
     raw(HEAD / IP(src=IP4.src, dst=IP4.dst, proto=6, frag=1) / bytes(40)), "tcp_fragment_offset_1"),
    ("TCP fragment with offset 1, IPv6",
     raw(HEAD / IP6 / IPv6ExtHdrFragment(offset=1, nh=6) / bytes(40)), "tcp_fragment_offset_1"),
    ("twenty destination options headers",
     raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=60) / (bytes.fromhex("3c00010400000000") * 20)),
     "extension_chain"),
    ("extension header that ends outside",
     raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=60) / bytes.fromhex("06ff010400000000")),
     None),
    ("two fragment headers",
     raw(HEAD / IP6 / IPv6ExtHdrFragment(m=1) / IPv6ExtHdrFragment(m=1) / UDP()), "extension_chain"),
    ("routing header of a type unknown",
     raw(HEAD / IP6 / IPv6ExtHdrRouting(type=77) / UDP()), "extension_chain"),
    ("hop-by-hop header cut", raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=0) / b"\x11"),
     "extension_chain"),
    ("header of an unknown number", raw(HEAD / IPv6(src=IP6.src, dst=IP6.dst, nh=253) / bytes(8)),
     "extension_chain"),
]


@pytest.mark.parametrize("name,frame,reason", MALFORMED, ids=[case[0] for case in MALFORMED])
def test_counted_by_reason(bed, appliance, name, frame, reason):
    appliance.load("add 100 allow ip from any to any\n")
    before = appliance.drops()
    with Wire(bed.a) as near, Wire(bed.b) as far:
        near.send(frame)
        assert not far.receive(lambda got: got == frame, seconds=0.3)

    def grown():
        return {key for key, value in appliance.drops().items() if value > before[key]}
    assert eventually(grown, 3)
    if reason is not None:
        assert grown() == {reason}
    else:
        assert grown() <= {"extension_chain", "short_transport"}


GOOD_CHAINS = [
    ("hop by hop, destination, routing", IP6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() /
     IPv6ExtHdrRouting(addresses=["fd7a:803f:cc4b::9"]) / UDP(dport=7)),
    ("authentication header", IP6 / AH(nh=17, payloadlen=4, icv=bytes(12)) / UDP(dport=7)),
    ("first fragment", IP6 / IPv6ExtHdrFragment(m=1, id=1) / UDP(dport=7) / bytes(8)),
    ("later fragment", IP6 / IPv6ExtHdrFragment(offset=2, nh=17, id=1) / bytes(16)),
    ("IPv4 options", IP(src=IP4.src, dst=IP4.dst, options=b"\x94\x04\0\0") / UDP(dport=7)),
    ("later IPv4 fragment", IP(src=IP4.src, dst=IP4.dst, proto=6, frag=2) / bytes(8)),
]


@pytest.mark.parametrize("name,packet", GOOD_CHAINS, ids=[case[0] for case in GOOD_CHAINS])
def test_odd_but_right(bed, appliance, name, packet):
    appliance.load("add 100 allow ip from any to any\n")
    before = appliance.drops()
    frame = raw(HEAD / packet)
    with Wire(bed.a) as near, Wire(bed.b) as far:
        near.send(frame)
        assert far.receive(lambda got: got == frame, seconds=3)
    assert appliance.drops() == before


def mutated(generator, frame):
    octets = bytearray(frame)
    for _ in range(generator.randint(1, 6)):
        octets[generator.randrange(12, len(octets))] = generator.choice(
            (0, 1, 4, 5, 6, 0x3f, 0x45, 0x60, 0x80, 0xff, generator.randrange(256)))
    if generator.random() < 0.5:
        del octets[generator.randrange(14, len(octets) + 1):]
    return bytes(octets[:12]) + bytes(octets[12:]).ljust(2, b"\0")


def test_garbage_does_no_harm(bed, appliance):
    """Thousands of damaged frames under a ruleset that looks everywhere; then an ordinary ping."""
    appliance.load("add 10 count log logamount 100 ip from any to any ipoptions ssrr,lsrr,rr,ts\n"
                   "add 20 count tcp from any to any tcpoptions mss,window,sack,ts\n"
                   "add 30 count ip from any to any frag\n"
                   "add 40 count ip6 from any to any ext6hdr hopopt,route,dstopt,ah\n"
                   "add 50 unreach port udp from any to any\n"
                   "add 60 reset tcp from any to any 1-30000\n"
                   "add 70 unreach6 port ip6 from any to any 5000-60000\n"
                   "add 80 allow ip from any to any\n")
    generator = random.Random(20031107)
    seeds = [frame for _, frame, _ in MALFORMED]
    seeds += [raw(HEAD / packet) for _, packet in GOOD_CHAINS]
    seeds += [raw(HEAD / IP4 / TCP(dport=80, flags="S", options=[("MSS", 1460), ("WScale", 7)])),
              raw(HEAD / IP4 / ICMP()), bytes(60), b"\xff" * 60]
    with Wire(bed.a) as near, Wire(bed.b) as far:
        for number in range(5000):
            (near if number % 2 else far).send(mutated(generator, generator.choice(seeds)))
    appliance.load("add 100 allow ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 3) and bed.b.ping(bed.a.ipv6, 3)
    assert appliance.dataplane.poll() is None
