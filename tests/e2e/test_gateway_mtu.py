"""A gateway between links of different MTUs: fragments, path MTU discovery, and `reass`
(scenario 9 of FreeBSD's own tests)."""

import re
import socket

import pytest
from lab import ALLOW, Appliance, RoutedBed, Wire
from lab.network import eventually


@pytest.fixture(scope="module", params=[200, 1300])
def narrow(request, build):
    with RoutedBed(mtu_b=request.param) as bed, Appliance(
            bed.middle, build, ports=bed.ports(), reply={"rate": 10000, "burst": 1000}) as appliance:
        appliance.start()
        appliance.load(ALLOW)
        # The kernel makes sure first that nobody else has the addresses of its twins.
        if bed.mtu_b >= 1280:
            assert eventually(lambda: bed.a.ping(bed.b.ipv6, seconds=1), 15)
        yield bed, appliance


@pytest.fixture
def link(narrow):
    bed, appliance = narrow
    appliance.load(ALLOW)
    yield bed, appliance
    assert appliance.running(), appliance.output("dataplane")


def test_what_may_be_cut_is_cut(link):
    bed, _ = link
    assert bed.a.ping(bed.b.ipv4, 2, "-s", "1400", "-M", "dont")


def test_what_may_not_be_cut_is_refused_with_the_mtu(link):
    bed, appliance = link
    bed.a.ip("route", "flush", "cache")
    done = bed.a.run("ping", "-n", "-c", "1", "-W", "2", "-s", "1400", "-M", "do", bed.b.ipv4)
    assert re.search(rf"From {re.escape(bed.router_a4)} icmp_seq=1 .*[Ff]rag.* \(mtu = {bed.mtu_b}\)",
                     done.stdout), done.stdout
    assert appliance.dataplane_counters()["drops"]["too_big"] > 0


def test_ipv6_is_told_that_it_is_too_big(link):
    bed, _ = link
    if bed.mtu_b < 1280:
        pytest.skip("IPv6 needs 1280")
    bed.a.ip("-6", "route", "flush", "cache")
    done = bed.a.run("ping", "-6", "-n", "-c", "1", "-W", "2", "-s", "1400", "-M", "do", bed.b.ipv6)
    assert re.search(r"Packet too big: mtu=1300", done.stdout), done.stdout
    # The sender has learnt, and cuts by itself.
    assert bed.a.ping(bed.b.ipv6, 2, "-s", "1400")


def test_reass_and_forward(link):
    """ok; ok; lost, having more fragments than are put together (with an MTU of 200)."""
    bed, appliance = link
    appliance.load("add 100 reass ip from any to any in\n" + ALLOW)
    assert bed.a.ping(bed.b.ipv4)
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "800")
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "20000", seconds=1) == (bed.mtu_b != 200)


def test_tcp_finds_the_mtu(link):
    bed, _ = link
    server = bed.b.listen(80, "x" * 20000 + "\n")
    try:
        assert len(bed.a.curl(f"http://{bed.b.ipv4}/", seconds=10).stdout) == 20001
    finally:
        server.terminate()


def test_what_is_cut_keeps_its_changes(link):
    """A datagram that was put together and is cut again has the DSCP that a rule has set."""
    bed, appliance = link
    appliance.load("add 100 reass ip from any to any in\n"
                   "add 200 setdscp ef ip from any to any in\n" + ALLOW)
    with Wire(bed.b) as wire:
        assert bed.a.ping(bed.b.ipv4, 1, "-s", "3000", "-M", "dont")
        pieces = wire.receive(lambda seen: seen[12:14] == b"\x08\x00" and seen[23] == 1 and
                              seen[30:34] == socket.inet_aton(bed.b.ipv4), 0.5, count=50)
    assert len(pieces) > 2
    assert {piece[15] >> 2 for piece in pieces} == {46}
