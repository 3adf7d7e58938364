"""The gateway beside a kernel that routes: the same packets through both, which have the same addresses
and routes, and what comes out on either side is compared field by field.

SLUICE_E2E_PACKETS=N sends more of them, SLUICE_E2E_SEED another mix.
"""

import os
import random

import pytest
from lab import ALLOW, Appliance, Namespace, RoutedBed, Wire
from lab.network import eventually
from scapy.all import (ICMP, IP, UDP, Ether, ICMPerror, ICMPv6DestUnreach, ICMPv6EchoRequest,
                       ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPOption, IPv6, Raw)

pytestmark = pytest.mark.waits

PACKETS = int(os.environ.get("SLUICE_E2E_PACKETS", "120"))
SEED = int(os.environ.get("SLUICE_E2E_SEED", "6"))
NARROW = 1300  # MTU of B's link
STATION = "02:00:00:00:00:0a"
LOOSE, STRICT = b"\x83\x07\x04", b"\x89\x07\x04"

A4, B4, ROUTER4 = RoutedBed.A4 + "1", RoutedBed.B4 + "3", RoutedBed.A4 + "2"
A6, B6, ROUTER6 = RoutedBed.A6 + "1", RoutedBed.B6 + "3", RoutedBed.A6 + "2"
OTHER4, OTHER6 = RoutedBed.B4 + "2", RoutedBed.B6 + "2"  # the router's address on B's link
BROADCAST4 = RoutedBed.A4 + "255"
BLACK4, FORBIDDEN4, UNREACHABLE4 = "198.18.1.1", "198.18.2.1", "198.18.3.1"
BLACK6, FORBIDDEN6, UNREACHABLE6 = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"
SPECIAL_ROUTES = [("blackhole", "198.18.1.0/24"), ("prohibit", "198.18.2.0/24"),
                  ("unreachable", "198.18.3.0/24"), ("blackhole", "2001:db8:1::/64"),
                  ("prohibit", "2001:db8:2::/64"), ("unreachable", "2001:db8:3::/64")]


class KernelRouter(RoutedBed):
    """The bed with its middle as the router: the ends of the wires have the addresses."""

    def __init__(self):
        super().__init__(mtu_b=NARROW)
        for wire, address4, address6 in (("wire0", ROUTER4, ROUTER6), ("wire1", OTHER4, OTHER6)):
            self.middle.ip("address", "add", address4 + "/24", "dev", wire)
            self.middle.ip("address", "add", address6 + "/64", "dev", wire, "nodad")
        self.middle.run("sh", "-c", "for each in ipv4/ip_forward ipv6/conf/all/forwarding; do "
                        "echo 1 > /proc/sys/net/$each; done; cd /proc/sys/net; "
                        "for each in ipv4/conf/*/rp_filter ipv4/conf/*/send_redirects "
                        "ipv4/conf/*/accept_source_route ipv4/icmp_ratelimit ipv4/icmp_msgs_per_sec "
                        "ipv6/icmp/ratelimit; do echo 0 > $each; done; "
                        "echo 1000000 > ipv4/icmp_msgs_per_sec")


def prepare(bed, router_port):
    """Routes, and neighbours that nobody has to ask for. The addresses of the router's first port."""
    for kind, prefix in SPECIAL_ROUTES:
        bed.middle.ip("-6" if ":" in prefix else "-4", "route", "add", kind, prefix)
    for address in (B4, B6):
        assert bed.middle.ping(address, seconds=3)
    for address in (A4, A6):
        assert eventually(lambda: bed.middle.ping(address, seconds=1), 10)
    return bed.middle.run("cat", f"/sys/class/net/{router_port}/address").stdout.strip()


def packet4(random):
    source = random.choice([A4] * 8 + ["0.0.0.0", "127.0.0.1", "224.0.0.9", "255.255.255.255",
                                       "240.0.0.1", ROUTER4, OTHER4, BROADCAST4])
    destination = random.choice([B4] * 12 + [BLACK4, FORBIDDEN4, UNREACHABLE4, "203.0.113.1",
                                             "127.0.0.1", "240.0.0.1", "0.0.0.0", "224.0.0.99"])
    options = random.choice([b""] * 6 + [b"\x01\x01\x01\x00", LOOSE + bytes(4) + b"\x00",
                                         STRICT + bytes(4) + b"\x00", b"\x94\x04\x00\x00"])
    packet = IP(src=source, dst=destination, ttl=random.choice([0, 1, 2, 3, 64, 64, 64, 255]),
                flags=random.choice([0, 0, "DF"]), id=random.randrange(1, 65536),
                tos=random.choice([0, 0, 0xb8, 2]),
                options=[IPOption(options)] if options else [])
    if random.random() < 0.2:
        packet.frag, packet.flags = random.choice([(0, "MF"), (40, 0), (40, "MF"), (185, "MF+DF")])
    if random.random() < 0.05:
        packet.chksum = 0x1234
    return packet


def packet6(random):
    source = random.choice([A6] * 8 + ["::", "::1", "ff02::9", "fe80::a"])
    destination = random.choice([B6] * 10 + [BLACK6, FORBIDDEN6, UNREACHABLE6, "2001:db8:9::1",
                                             "::1", "ff0e::99"])
    return IPv6(src=source, dst=destination, hlim=random.choice([0, 1, 2, 3, 64, 64, 255]),
                tc=random.choice([0, 0xb8]), fl=random.randrange(1 << 20))


def made_up(random):
    """(name, IP packet as bytes); the name is in it."""
    packets = []
    for number in range(PACKETS):
        packet = packet4(random) if number % 2 == 0 else packet6(random)
        name = b"packet %06d " % number
        room = random.choice([20, 20, 100, 1200, NARROW - 80, 1400])
        # Where it lies: behind the first eight bytes that any ICMP error quotes.
        upper = UDP(sport=random.randrange(1024, 65536), dport=9)
        if random.random() < 0.2:
            upper = ICMP() if packet.version == 4 else ICMPv6EchoRequest()
        if random.random() < 0.1 and packet.version == 4:
            upper = ICMP(type=3, code=1)
        packets.append((name, bytes(packet / upper / Raw(name + bytes(room)))))
    return packets


def outcome(router_mac, ours, theirs, name, packet):
    """What comes out on both sides, as values to compare."""
    version = packet[0] >> 4
    marks = {packet[4:6]} if version == 4 else {packet[1:4]}
    ours.drain()
    theirs.drain()
    ours.send(bytes(Ether(dst=router_mac, src=STATION, type=0x0800 if version == 4 else 0x86dd)) +
              packet)

    def is_of_it(frame):
        return any(mark in frame[14:] for mark in marks) and frame[6:12].hex(":") != STATION and \
            (name in frame or frame[23] == 1 or frame[20] in (44, 58) or version == 4)

    passed = theirs.receive(is_of_it, 0.12, count=3)
    told = ours.receive(is_of_it, 0.02 if passed else 0.06, count=2)
    return ([comparable(frame) for frame in passed], [error(frame) for frame in told])


def comparable(frame):
    return frame[14:].hex()


def error(frame):
    """An ICMP error: from whom and to whom, type, code, MTU, and what it quotes of the packet."""
    packet = Ether(frame).payload
    if packet.version == 4:
        assert ICMP in packet, packet
        icmp = packet[ICMP]
        inner = bytes(icmp.payload)
        again = packet.copy()
        again[ICMP].chksum = None
        assert again.__class__(bytes(again))[ICMP].chksum == icmp.chksum, "checksum"
        header = (inner[0] & 15) * 4
        return ("ICMP", packet.src, packet.dst, icmp.type, icmp.code,
                getattr(icmp, "nexthopmtu", 0) if (icmp.type, icmp.code) == (3, 4) else 0,
                inner[:header + 8].hex())
    kinds = [ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded]
    found = next(packet[kind] for kind in kinds + [packet.payload.__class__] if kind in packet)
    return ("ICMPv6", packet.src, packet.dst, found.type, getattr(found, "code", 0),
            getattr(found, "mtu", 0), bytes(found)[8:8 + 48].hex())


def lowered(quoted):
    """A quoted IPv6 packet with one hop less."""
    return f"{quoted[:14]}{(int(quoted[14:16], 16) - 1) & 255:02x}{quoted[16:]}"


def permitted(packet, linux, gateway):
    """The name of a difference that is meant, or None. Both gateways are ([frames], [errors])."""
    (passed_there, told_there), (passed, told) = linux, gateway
    shown = (IP if packet[0] >> 4 == 4 else IPv6)(packet)
    if shown.src == BROADCAST4 and not passed and not told:
        return "no host has a broadcast address, which Linux sees only where it checks paths"
    if shown.src.startswith("240.") and not passed and not told:
        return "nothing comes from class E"
    if passed or passed_there:
        return None
    if packet[0] >> 4 == 4:
        if LOOSE in packet[:60] or STRICT in packet[:60]:
            # FreeBSD's: code 5, unless something else stands against the packet.
            return "who wants a source route is told" if not told_there and told else None
        if shown.dst.startswith("240."):
            return "nothing goes to class E, and nobody is told" if not told else None
        return None
    if shown.src.startswith("fe80:") and not told_there:
        return "errors go to the station that sent, which Linux asks for first"
    if len(told) == len(told_there) == 1:
        (*head, code, mtu, quoted), (*head_there, code_there, mtu_there, quoted_there) = (
            told[0], told_there[0])
        if (head, mtu, quoted) == (head_there, mtu_there, quoted_there) and \
                shown.dst == UNREACHABLE6 and (code, code_there) == (3, 0):
            return "an unreachable route is an unreachable address (RFC 4443), not no route"
        if (head, code, mtu) == (head_there, code_there, mtu_there) and mtu == NARROW and \
                quoted == lowered(quoted_there):
            return "a packet that is too big has made its hop, and the rules have let it out"
    return None


def all_outcomes(bed, router_mac, packets):
    with Wire(bed.a) as ours, Wire(bed.b) as theirs:
        return [outcome(router_mac, ours, theirs, name, packet) for name, packet in packets]


def test_what_linux_does(build):
    packets = made_up(random.Random(SEED))
    with KernelRouter() as bed:
        linux = all_outcomes(bed, prepare(bed, "wire0"), packets)
    with RoutedBed(mtu_b=NARROW) as bed, Appliance(
            bed.middle, build, ports=bed.ports(), reply={"rate": 100000, "burst": 10000}) as gateway:
        gateway.start()
        gateway.load(ALLOW)
        router_mac = prepare(bed, "em0")
        assert eventually(lambda: bed.a.ping(bed.b.ipv6, seconds=1), 15)
        sluice = all_outcomes(bed, router_mac, packets)
    differences, seen = [], {}
    for (name, packet), theirs, ours in zip(packets, linux, sluice):
        if theirs == ours:
            continue
        reason = permitted(packet, theirs, ours)
        if reason:
            seen[reason] = seen.get(reason, 0) + 1
            continue
        shown = (IP if packet[0] >> 4 == 4 else IPv6)(packet)
        differences.append(f"{shown!r:.300}\n   Linux  {theirs}\n   Sluice {ours}")
    assert sum(bool(passed) for passed, _ in sluice) > PACKETS / 10
    assert sum(bool(told) for _, told in sluice) > PACKETS / 10
    assert not differences, f"{len(differences)} of {len(packets)}\n" + "\n".join(differences[:30])
