"""The bridge with ordinary traffic: what an operator tries first."""

import json

import pytest
from lab import Appliance, Bed, Wire
from lab.network import eventually
from scapy.all import ICMP, IP, Dot1Q, Ether, raw

ALLOW = "add allow ip from any to any\n"
DENY = "add deny ip from any to any\n"


# ---- pass and block, IPv4 and IPv6 ---------------------------------------------------------------


def test_deny_loses_ping(bed, appliance):
    bed.static_neighbours()
    appliance.load(DENY)
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    assert appliance.counters(100)[0] >= 1


def test_allow_answers_ping(bed, appliance):
    appliance.load(ALLOW)
    assert bed.a.ping(bed.b.ipv4, 3)
    assert bed.b.ping(bed.a.ipv4, 3)


def test_deny_loses_ping6(bed, appliance):
    bed.static_neighbours()
    appliance.load(DENY)
    assert not bed.a.ping(bed.b.ipv6, seconds=1)
    assert appliance.counters(100)[0] >= 1


def test_allow_answers_ping6(bed, appliance):
    appliance.load(ALLOW)
    assert bed.a.ping(bed.b.ipv6, 3)
    assert bed.b.ping(bed.a.ipv6, 3)


# ---- neighbours ----------------------------------------------------------------------------------


def test_arp_survives_a_ruleset_for_ip(bed, appliance):
    """`deny ip` must not cut ARP off: it is not IP."""
    appliance.load("add allow icmp from any to any\nadd deny ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert bed.b.mac in bed.a.ip("neighbour", "show", bed.b.ipv4)


def test_arp_goes_where_layer2_rules_say(bed, appliance):
    appliance.load("add deny ip from any to any mac-type arp\nadd allow ip from any to any\n")
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    assert appliance.counters(100)[0] >= 1
    bed.forget_neighbours()
    appliance.load(ALLOW)
    assert bed.a.ping(bed.b.ipv4)


def test_neighbour_discovery_is_ipv6(bed, appliance):
    """ND is ICMPv6, so it lives from what the rules allow."""
    appliance.load("add allow ipv6-icmp from any to any icmp6types 135,136\n"
                   "add allow ipv6-icmp from any to any icmp6types 128,129\n")
    assert bed.a.ping(bed.b.ipv6, 2)
    assert appliance.counters(100)[0] >= 2
    assert appliance.counters(200)[0] == 4


# ---- connections ---------------------------------------------------------------------------------


def test_web_page(bed, appliance):
    server = bed.b.listen(8000, "x" * 100000)
    try:
        appliance.load("add allow tcp from any to any 8000 in recv em0\n"
                       "add allow tcp from any 8000 to any in recv em1\n")
        page = bed.a.curl(f"http://{bed.b.ipv4}:8000/")
        assert page.returncode == 0, page.stderr
        assert page.stdout == "x" * 100000
        there, back = appliance.counters(100), appliance.counters(200)
        assert there[0] >= 4 and back[1] > 100000
    finally:
        server.kill()


def test_web_page_over_ipv6(bed, appliance):
    server = bed.b.listen(8001, "six")
    try:
        appliance.load("add allow ipv6-icmp from any to any\n"
                       "add allow tcp from any to any 8001 in recv em0\n"
                       "add allow tcp from any 8001 to any in recv em1\n")
        page = bed.a.curl(f"http://[{bed.b.ipv6}]:8001/")
        assert page.returncode == 0, page.stderr
        assert page.stdout == "six"
    finally:
        server.kill()


def test_port_that_is_not_allowed_is_silent(bed, appliance):
    server = bed.b.listen(8002)
    try:
        appliance.load("add allow icmp from any to any\nadd deny tcp from any to any 8002\n"
                       "add allow tcp from any to any\n")
        assert bed.a.curl(f"http://{bed.b.ipv4}:8002/", seconds=2).returncode == 28
        assert appliance.counters(200)[0] >= 1
    finally:
        server.kill()


@pytest.mark.parametrize("options", [(), ("--udp", "--bitrate", "20M"), ("--reverse",)],
                         ids=["tcp", "udp", "tcp-reverse"])
def test_iperf3(bed, appliance, options):
    appliance.load(ALLOW)
    server = bed.b.start("iperf3", "--server", "--one-off")
    try:
        assert eventually(lambda: ":5201 " in bed.b.run("ss", "-ltnH").stdout)
        done = bed.a.run("iperf3", "--client", bed.b.ipv4, "--time", "2", "--json", *options)
        assert done.returncode == 0, done.stdout
        end = json.loads(done.stdout)["end"]
        total = end.get("sum_received") or end["sum"]
        assert total["bytes"] > 1_000_000
        assert appliance.counters(100)[1] > total["bytes"]
    finally:
        server.kill()


# ---- frames of other kinds -----------------------------------------------------------------------


def test_jumbo_frames(build):
    """An IP packet of 9000 bytes crosses; the counter has its IP length."""
    with Bed(mtu=9000) as bed, Appliance(bed.middle, build, mtu=9000) as appliance:
        appliance.start()
        appliance.load("add allow icmp from any to any\nadd allow ipv6-icmp from any to any\n")
        assert bed.a.ping(bed.b.ipv4, 2, "-M", "do", "-s", str(9000 - 28))
        assert appliance.counters(100) == (4, 4 * 9000)
        assert bed.a.ping(bed.b.ipv6, 2, "-M", "do", "-s", str(9000 - 48))


@pytest.mark.parametrize("tags", [(100,), (200, 300)], ids=["vlan", "qinq"])
def test_tagged_frames_are_filtered_and_keep_their_tags(bed, appliance, tags):
    """The rules see the packet inside; what passes is the same to the last octet. (An outer tag of
    type 0x88a8 would leave as 0x8100: the kernel takes it off, and the driver does not ask which it
    was.)"""
    frame = Ether(src=bed.a.mac, dst=bed.b.mac)
    for tag in tags:
        frame = frame / Dot1Q(vlan=tag, prio=3)
    frame = raw(frame / IP(src=bed.a.ipv4, dst=bed.b.ipv4) / ICMP() / bytes(56))
    with Wire(bed.a) as near, Wire(bed.b) as far:
        appliance.load("add 100 allow icmp from any to any\n")
        near.send(frame)
        assert far.receive(lambda got: got == frame)
        assert appliance.counters(100) == (1, 84)
        appliance.load("add 100 deny icmp from any to any\nadd 200 allow ip from any to any\n")
        near.send(frame)
        assert not far.receive(lambda got: got == frame, seconds=1)
        assert appliance.counters(100) == (1, 84)


def test_fragments_cross_one_by_one(bed, appliance):
    """A large ping in fragments: what the kernel cuts, the rules see in pieces."""
    appliance.load("add 100 count icmp from any to any frag\n"
                   "add 200 allow icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2, "-s", "4000")
    # Three pieces there and three back, of which the first is no `frag`.
    assert appliance.counters(100)[0] == 2 * 4
    assert appliance.counters(200)[0] == 2 * 6
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "30000")
    appliance.load("add 100 deny icmp from any to any frag\n"
                   "add 200 allow ip from any to any\n")
    assert not bed.a.ping(bed.b.ipv4, 1, "-s", "4000", seconds=1)


@pytest.mark.parametrize("name,mac,payload", [
    ("stp", "01:80:c2:00:00:00", bytes.fromhex("0026424203000000000000")),
    ("lacp", "01:80:c2:00:00:02", bytes.fromhex("88090101") + bytes(50)),
    ("lldp", "01:80:c2:00:00:0e", bytes.fromhex("88cc0207") + bytes(50)),
])
def test_link_protocols_pass_on_a_port_pair(bed, appliance, name, mac, payload):
    appliance.load(DENY)
    frame = bytes.fromhex(mac.replace(":", "") + bed.a.mac.replace(":", "")) + payload
    frame = frame.ljust(60, b"\0")
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        sender.send(frame)
        assert receiver.receive(lambda got: got == frame, seconds=3), name


def test_a_large_transfer_stalls_where_segments_with_data_are_denied(bed, appliance, tmp_path):
    """Scenario 27: a rule at layer 2 sees the length of TCP's data in every segment."""
    size = 8_000_000
    (tmp_path / "large").write_bytes(b"x" * size)
    server = bed.b.start("/usr/bin/python3", "-m", "http.server", "5555", "--directory",
                         str(tmp_path))
    url = f"http://{bed.b.ipv4}:5555/large"

    def fetched(seconds):
        return len(bed.a.curl(url, seconds=seconds).stdout)

    try:
        appliance.load("add 100 deny tcp from any 5555 to any layer2 tcpdatalen 1000-65535\n"
                       "add 65000 allow ip from any to any\n")
        assert eventually(lambda: bed.a.curl(url, "--head").returncode == 0, 5)
        assert fetched(2) < 100_000
        assert appliance.counters(100)[0] > 0
        appliance.load("add 100 count tcp from any 5555 to any layer2 tcpdatalen 1000-65535\n"
                       "add 65000 allow ip from any to any\n")
        assert fetched(20) == size
        assert appliance.counters(100)[0] > 0
    finally:
        server.terminate()
