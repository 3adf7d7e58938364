"""What a gateway does with frames that are made to break it, and with odd settings of the kernel."""

import pytest
from lab import Wire
from lab.network import eventually
from scapy.all import (ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, IPv6, ICMPv6EchoRequest, Raw)

STATION = "02:00:00:00:00:0a"


@pytest.fixture(scope="module")
def gateway_settings():
    return {"reply": {"rate": 10000, "burst": 1000}}


@pytest.fixture
def router_mac(routed, gateway):
    return routed.middle.run("cat", "/sys/class/net/em0/address").stdout.strip()


def arrives(routed, frame, mark, seconds=1.0):
    """Whether B's wire shows the frame's mark after A's wire got it."""
    with Wire(routed.a) as ours, Wire(routed.b) as theirs:
        ours.send(bytes(frame))
        return bool(theirs.receive(lambda seen: mark in seen, seconds))


def answers(routed, frame, wanted, seconds=1.0):
    with Wire(routed.a) as ours:
        ours.send(bytes(frame))
        return [Ether(each) for each in ours.receive(lambda seen: wanted(Ether(seen)), seconds)]


@pytest.mark.parametrize("tags, passes", [
    ([], True),
    ([Dot1Q(vlan=0, prio=5)], True),  # a priority, no VLAN
    ([Dot1Q(vlan=77)], False),
    ([Dot1AD(vlan=77)], False),
    ([Dot1Q(vlan=0), Dot1Q(vlan=77)], False),
    ([Dot1AD(vlan=20), Dot1Q(vlan=10)], False),
], ids=["none", "priority", "802.1Q", "802.1ad", "behind a priority", "QinQ"])
def test_a_vlan_without_an_interface_is_not_the_port(routed, gateway, router_mac, tags, passes):
    """Else whoever may tag frames reaches a network that is not theirs."""
    frame = Ether(dst=router_mac, src=STATION)
    for tag in tags:
        frame /= tag
    frame /= IP(src=routed.a.ipv4, dst=routed.b.ipv4) / UDP(sport=7, dport=7) / b"tagged frame"
    assert routed.a.ping(routed.b.ipv4)
    assert arrives(routed, frame, b"tagged frame") == passes


def test_routes_with_absurd_mtus(routed, gateway):
    """68 and 1280 are the least that IPv4 and IPv6 know."""
    routed.b.ip("address", "add", "203.0.113.9/32", "dev", "lo")
    try:
        for mtu in ("1", "20", "27"):
            routed.middle.ip("route", "replace", "203.0.113.9/32", "via", routed.b.ipv4, "mtu", mtu)
            assert eventually(lambda: routed.a.ping("203.0.113.9", 1, "-s", "200", "-M", "dont",
                                                    seconds=1), 5)
        assert routed.a.ping(routed.b.ipv4)
    finally:
        routed.middle.ip("route", "flush", "203.0.113.9/32")
        routed.b.ip("address", "del", "203.0.113.9/32", "dev", "lo")


def test_ipv6_is_never_told_less_than_1280(routed, gateway, router_mac):
    routed.middle.ip("-6", "route", "add", "fd7a:803f:cc4b:c::/64", "via", routed.b.ipv6, "mtu",
                     "1280")
    try:
        routed.middle.ip("-6", "route", "replace", "fd7a:803f:cc4b:c::/64", "via", routed.b.ipv6,
                         "mtu", "600")
        frame = (Ether(dst=router_mac, src=STATION) /
                 IPv6(src=routed.a.ipv6, dst="fd7a:803f:cc4b:c::9") / ICMPv6EchoRequest() /
                 Raw(b"fits" * 200))
        assert eventually(lambda: arrives(routed, frame, b"fitsfits"), 5)
    finally:
        routed.middle.ip("-6", "route", "flush", "fd7a:803f:cc4b:c::/64")


def test_waits_for_a_gateway_known_by_its_link_address(routed, gateway):
    """As router advertisements name them: the route of the address itself leads nowhere."""
    routed.b.ip("address", "add", "fe80::b/64", "dev", "eth0", "nodad")
    routed.b.ip("address", "add", "2001:db8:9::9/128", "dev", "lo")
    routed.middle.ip("-6", "route", "add", "2001:db8:9::/64", "via", "fe80::b", "dev", "em1")
    try:
        assert eventually(lambda: routed.a.ping("2001:db8:9::9", seconds=1))
        for _ in range(3):
            routed.middle.ip("-6", "neighbour", "flush", "dev", "em1")
            assert routed.a.ping("2001:db8:9::9")
    finally:
        routed.middle.ip("-6", "route", "del", "2001:db8:9::/64")
        routed.b.ip("address", "del", "2001:db8:9::9/128", "dev", "lo")
        routed.b.ip("address", "del", "fe80::b/64", "dev", "eth0")


def test_errors_have_an_address_of_ours_where_the_link_has_none(routed, gateway, router_mac):
    """An interface without an address answers with one of another interface."""
    routed.middle.ip("address", "del", routed.router_a4 + "/24", "dev", "em0")
    try:
        routed.middle.ip("route", "add", "192.0.2.0/24", "dev", "em0")
        frame = (Ether(dst=router_mac, src=STATION) /
                 IP(src=routed.a.ipv4, dst=routed.b.ipv4, ttl=1) / UDP(sport=7, dport=7) / b"x")

        def source():
            seen = answers(routed, frame, lambda each: ICMP in each and each[ICMP].type == 11)
            return seen[0][IP].src if seen else None

        assert eventually(lambda: source() == routed.router_b4, 5)
    finally:
        routed.middle.ip("route", "flush", "192.0.2.0/24")
        routed.middle.ip("address", "add", routed.router_a4 + "/24", "dev", "em0")


@pytest.mark.parametrize("source", ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_nobody_is_told_who_cannot_be_a_sender(routed, gateway, router_mac, source):
    before = gateway.dataplane_counters()["drops"]["martian"]
    for destination in ("203.0.113.9", routed.b.ipv4):
        frame = (Ether(dst=router_mac, src=STATION) / IP(src=source, dst=destination, ttl=9) /
                 UDP(sport=7, dport=7) / b"martian")
        assert not answers(routed, frame, lambda each: ICMP in each, 0.4)
    assert gateway.dataplane_counters()["drops"]["martian"] == before + 2


@pytest.mark.parametrize("source", ["router_a4", "router_b4", "router_a6", "router_b6"])
def test_nobody_outside_has_our_addresses(routed, gateway, router_mac, source):
    """A frame from a network that says it is from the gateway itself goes no further, as on Linux."""
    address = getattr(routed, source)
    packet = (IPv6(src=address, dst=routed.b.ipv6) if ":" in address else
              IP(src=address, dst=routed.b.ipv4))
    frame = Ether(dst=router_mac, src=STATION) / packet / UDP(sport=7, dport=7) / b"not from here"
    before = gateway.dataplane_counters()["drops"]["own_source"]
    assert not arrives(routed, frame, b"not from here", 0.5)
    assert gateway.dataplane_counters()["drops"]["own_source"] == before + 1


def test_an_address_that_is_ours_no_more_is_anybodys(routed, gateway, router_mac):
    frame = (Ether(dst=router_mac, src=STATION) / IP(src="192.0.2.66", dst=routed.b.ipv4) /
             UDP(sport=7, dport=7) / b"moved away")
    assert arrives(routed, frame, b"moved away")
    routed.middle.ip("address", "add", "192.0.2.66/32", "dev", "em1")
    try:
        assert eventually(lambda: not arrives(routed, frame, b"moved away", 0.3))
    finally:
        routed.middle.ip("address", "del", "192.0.2.66/32", "dev", "em1")
    assert eventually(lambda: arrives(routed, frame, b"moved away", 0.3))
