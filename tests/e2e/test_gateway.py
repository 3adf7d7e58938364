"""The gateway: two networks, the kernel's twins of the ports, and what ipfw(8) says of packets that
are forwarded: they are seen twice, `in` and `out`."""

import re
import time

import pytest
from lab import ALLOW, Stream, connect, echo_server
from lab.network import eventually


def test_forwards_between_two_networks(routed, gateway):
    assert routed.a.ping(routed.b.ipv4, 3), gateway.output("dataplane")
    assert routed.a.ping(routed.b.ipv6, 3)
    assert routed.b.ping(routed.a.ipv4, 3)


@pytest.mark.parametrize("address", ["router_a4", "router_b4", "router_a6", "router_b6"])
def test_answers_at_all_its_addresses(routed, gateway, address):
    assert routed.a.ping(getattr(routed, address), 2)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_filters_a_forwarded_packet_twice(routed, gateway, direction):
    gateway.load(f"add 100 deny icmp from any to any {direction}\n"
                 f"add 101 deny ipv6-icmp from any to {routed.b.ipv6} {direction}\n" + ALLOW)
    assert not routed.a.ping(routed.b.ipv4, seconds=1)
    assert not routed.a.ping(routed.b.ipv6, seconds=1)


def test_counts_both_passes(routed, gateway):
    assert routed.a.ping(routed.b.ipv4)
    gateway.load("add 100 count icmp from any to any in recv em0\n"
                 "add 110 count icmp from any to any out recv em0 xmit em1\n"
                 "add 120 count icmp from any to any out xmit em1\n"
                 "add 130 count icmp from any to any via em1 icmptypes 8\n" + ALLOW)
    assert routed.a.ping(routed.b.ipv4, 5)
    assert [gateway.counters(rule)[0] for rule in (100, 110, 120, 130)] == [5, 5, 5, 5]


def test_locally_made_packets_have_no_receiving_interface(routed, gateway):
    gateway.load("add 100 count icmp from me to any out xmit em1\n"
                 "add 120 count icmp from any to me in recv em1\n"
                 "add 130 count icmp from me to any out recv em* xmit em1\n" + ALLOW)
    assert routed.middle.ping(routed.b.ipv4, 3)
    counts = [gateway.counters(rule)[0] for rule in (100, 120, 130)]
    assert counts == [3, 3, 0]


def test_the_host_is_told_that_its_packet_was_refused(routed, gateway):
    gateway.load("add 100 unreach port icmp from me to any out\n" + ALLOW)
    done = routed.middle.run("ping", "-n", "-c", "1", "-W", "2", routed.b.ipv4)
    assert "Port Unreachable" in done.stdout


def test_lowers_the_hop_limit_and_tells_when_it_is_used_up(routed, gateway):
    for options, address, router in (((), routed.b.ipv4, routed.router_a4),
                                     (("-6",), routed.b.ipv6, routed.router_a6)):
        done = routed.a.run("ping", *options, "-n", "-c", "1", "-W", "2", "-t", "1", address)
        assert re.search(rf"From {re.escape(router)}:? icmp_seq=1 Time (to live )?exceeded",
                         done.stdout, re.IGNORECASE), done.stdout
        answer = routed.a.run("ping", *options, "-n", "-c", "1", address).stdout
        assert "ttl=63" in answer


def test_no_route(routed, gateway):
    done = routed.a.run("ping", "-n", "-c", "1", "-W", "2", "203.0.113.9")
    assert f"From {routed.router_a4} icmp_seq=1 Destination Net Unreachable" in done.stdout
    assert gateway.dataplane_counters()["drops"]["no_route"] > 0


def test_routes_follow_the_kernel(routed, gateway):
    def answer(seconds=1):
        return routed.a.run("ping", "-n", "-c", "1", "-W", str(seconds), "203.0.113.9").stdout

    routed.b.ip("address", "add", "203.0.113.9/32", "dev", "lo")
    routed.middle.ip("route", "add", "203.0.113.0/24", "via", routed.b.ipv4)
    try:
        assert eventually(lambda: routed.a.ping("203.0.113.9", seconds=1))
        routed.middle.ip("route", "replace", "prohibit", "203.0.113.0/24")
        assert eventually(lambda: "Packet filtered" in answer())
        routed.middle.ip("route", "replace", "unreachable", "203.0.113.0/24")
        assert eventually(lambda: "Destination Host Unreachable" in answer())
        before = gateway.dataplane_counters()["drops"]["blackhole"]
        routed.middle.ip("route", "replace", "blackhole", "203.0.113.0/24")
        assert eventually(lambda: "0 received" in answer() and
                          gateway.dataplane_counters()["drops"]["blackhole"] > before)
    finally:
        routed.middle.ip("route", "flush", "203.0.113.0/24")
        routed.b.ip("address", "del", "203.0.113.9/32", "dev", "lo")


def test_an_address_is_me_as_soon_as_the_kernel_has_it(routed, gateway):
    gateway.load("add 100 deny icmp from any to me in icmptypes 8\n" + ALLOW)
    routed.a.ip("route", "add", "192.0.2.77/32", "via", routed.router_a4)
    try:
        assert not routed.a.ping(routed.router_a4, seconds=1)
        routed.middle.ip("address", "add", "192.0.2.77/32", "dev", "em0")
        gateway.load("add 50 count icmp from any to 192.0.2.77\n"
                     "add 100 deny icmp from any to me in\n" + ALLOW)

        def denied():
            before = gateway.counters(100)[0]
            return not routed.a.ping("192.0.2.77", seconds=1) and gateway.counters(100)[0] > before

        assert eventually(denied)
    finally:
        routed.middle.ip("address", "flush", "to", "192.0.2.77/32", "dev", "em0")
        routed.a.ip("route", "flush", "192.0.2.77/32")


def test_waits_for_a_neighbour_and_gives_up(routed, gateway):
    routed.middle.ip("neighbour", "flush", "dev", "em1")
    assert routed.a.ping(routed.b.ipv4)
    done = routed.a.run("ping", "-n", "-c", "1", "-W", "5", "198.51.100.99")
    assert f"From {routed.router_a4} icmp_seq=1 Destination Host Unreachable" in done.stdout
    assert gateway.dataplane_counters()["drops"]["neighbour_unknown"] > 0


def test_connections_and_states(routed, gateway):
    gateway.load("add 100 check-state\n"
                 f"add 200 allow tcp from 192.0.2.0/24 to any setup keep-state\n"
                 "add 400 deny tcp from any to any\n" + ALLOW)
    with_text = routed.b.listen(80, "from b\n")
    try:
        assert routed.a.curl(f"http://{routed.b.ipv4}/").stdout == "from b\n"
        assert gateway.state_count() > 0
    finally:
        with_text.terminate()


def test_keepalives_of_forwarded_connections_and_of_those_to_the_machine(routed, gateway):
    before = gateway.must("sysctl", "-n", "net.inet.ip.fw.dyn_ack_lifetime").strip()
    gateway.must("-q", "sysctl", "net.inet.ip.fw.dyn_ack_lifetime=6")
    try:
        gateway.load("add 100 check-state\nadd 200 allow tcp from any to any setup keep-state\n"
                     "add 400 deny tcp from any to any\n" + ALLOW)
        with echo_server(routed.b, 7, routed.b.ipv4), \
                echo_server(routed.middle, 7, routed.router_a4), \
                connect(routed.a, routed.b.ipv4, 7) as forwarded, \
                connect(routed.a, routed.router_a4, 7) as to_host:
            time.sleep(14)
            assert gateway.state_count() == 2
            for connection in (forwarded, to_host):
                connection.sendall(b"still there?")
                assert connection.recv(100) == b"still there?"
            assert gateway.dataplane_counters()["keepalives_sent"] >= 4
    finally:
        gateway.must("-q", "sysctl", f"net.inet.ip.fw.dyn_ack_lifetime={before}")


def test_states_are_judged_by_new_rules_in_both_passes(routed, gateway):
    """apply --states recheck: forwarded, to this machine, by this machine, and what may not go on."""
    gateway.load("add 100 check-state\nadd 200 allow tcp from any to any setup keep-state\n"
                 "add 400 deny tcp from any to any\n" + ALLOW)
    rules = gateway.rule_file(
        "add 100 check-state\n"
        "add 200 allow tcp from any to any in recv em0 setup keep-state\n"
        "add 210 allow tcp from me to any out xmit em1 setup keep-state\n"
        "add 400 deny tcp from any to any\n" + ALLOW, "narrower.rules")
    with echo_server(routed.b, 7, routed.b.ipv4), echo_server(routed.a, 7, routed.a.ipv4), \
            echo_server(routed.middle, 7, routed.router_a4), \
            Stream(routed.a, routed.b.ipv4, 7) as forwarded, \
            Stream(routed.a, routed.router_a4, 7) as to_host, \
            Stream(routed.middle, routed.b.ipv4, 7) as by_host, \
            Stream(routed.b, routed.a.ipv4, 7) as other_way:
        streams = (forwarded, to_host, by_host)
        assert all(stream.goes_on() for stream in (*streams, other_way))
        assert gateway.must("apply", "--states", "recheck", rules).endswith(
            "States: 0 kept, 3 moved to other rules, 1 killed.\n")
        assert all(stream.goes_on() for stream in streams)
        assert not other_way.goes_on(1, 1.0)
        for stream in streams:
            stream.finish()
        assert all(stream.error is None and stream.worst < 2 for stream in streams)


def test_ssh_like_access_to_the_host_itself(routed, gateway):
    server = routed.middle.start("/usr/bin/python3", "-m", "http.server", "8080", "--bind",
                                 "0.0.0.0")
    try:
        assert eventually(lambda: routed.b.curl(
            f"http://{routed.router_b4}:8080/").returncode == 0, 5)
        gateway.load("add 100 reset tcp from any to me 8080 in\n" + ALLOW)
        assert routed.b.curl(f"http://{routed.router_b4}:8080/").returncode == 7
    finally:
        server.terminate()


def test_reject_on_the_way_out_reaches_the_sender(routed, gateway):
    gateway.load("add 100 unreach filter-prohib icmp from any to any out xmit em1\n" + ALLOW)
    done = routed.a.run("ping", "-n", "-c", "1", "-W", "2", routed.b.ipv4)
    assert f"From {routed.router_a4} icmp_seq=1 Packet filtered" in done.stdout


def test_reverse_path_checks_ask_the_live_routes(routed, gateway):
    """verrevpath, versrcreach and antispoof, while routes come and go."""
    routed.a.ip("address", "add", "203.0.113.5/32", "dev", "lo")

    def passes(source):
        return routed.a.ping(routed.b.ipv4, 1, "-I", source, seconds=1)

    try:
        gateway.load("add 100 deny icmp from any to any in recv em0 not verrevpath\n" + ALLOW)
        assert passes(routed.a.ipv4)
        assert not passes("203.0.113.5")
        routed.middle.ip("route", "add", "203.0.113.0/24", "via", routed.a.ipv4)
        assert eventually(lambda: passes("203.0.113.5"))
        routed.middle.ip("route", "replace", "203.0.113.0/24", "via", routed.b.ipv4)
        assert eventually(lambda: not passes("203.0.113.5"))
        gateway.load("add 100 deny icmp from any to any in recv em0 not versrcreach\n" + ALLOW)
        before = gateway.counters(100)[0]
        passes("203.0.113.5")
        assert gateway.counters(100)[0] == before
        routed.middle.ip("route", "del", "203.0.113.0/24")
        assert eventually(lambda: not passes("203.0.113.5") and gateway.counters(100)[0] > before)
        # B's network lies behind em1: nobody may claim on em0 to come from there.
        gateway.load("add 100 deny icmp from any to any in recv em0 not antispoof\n" + ALLOW)
        routed.a.ip("address", "add", "198.51.100.77/32", "dev", "lo")
        before = gateway.counters(100)[0]
        passes("198.51.100.77")
        assert gateway.counters(100)[0] > before
        assert passes(routed.a.ipv4)
    finally:
        routed.middle.ip("route", "flush", "203.0.113.0/24")
        routed.a.ip("address", "flush", "dev", "lo", "to", "203.0.113.5/32")
        routed.a.ip("address", "flush", "dev", "lo", "to", "198.51.100.77/32")


def test_via_an_address(routed, gateway):
    """`via ADDRESS` is the interface that has the address now."""
    gateway.load("add 100 count icmp from any to any in via 192.0.2.2\n"
                 "add 110 count icmp from any to any in via 192.0.2.200\n" + ALLOW)
    assert routed.a.ping(routed.b.ipv4, 2)
    assert (gateway.counters(100)[0], gateway.counters(110)[0]) == (2, 0)
    routed.middle.ip("address", "add", "192.0.2.200/32", "dev", "em0")
    try:
        def counted():
            before = gateway.counters(110)[0]
            return routed.a.ping(routed.b.ipv4) and gateway.counters(110)[0] > before

        assert eventually(counted)
    finally:
        routed.middle.ip("address", "flush", "dev", "em0", "to", "192.0.2.200/32")


def test_skipto_does_not_go_back(routed, gateway):
    """Scenario 30: a target that lies behind is the next rule."""
    gateway.load("add 50 count icmp from any to any in recv em0 icmptypes 8\n"
                 "add 100 skipto 50 icmp from any to any in recv em0 icmptypes 8\n"
                 "add 110 count icmp from any to any in recv em0 icmptypes 8\n" + ALLOW)
    assert routed.a.ping(routed.b.ipv4, 3)
    assert [gateway.counters(rule)[0] for rule in (50, 100, 110)] == [3, 3, 3]


def test_four_log_rules_log_their_own_packets(routed, gateway):
    """Scenario 23: one datagram for each of four rules."""
    gateway.load("add 100 count log udp from any to any 10100 in recv em0\n"
                 "add 200 count log udp from any to any 10200 in recv em0\n"
                 "add 201 count log udp from any to any 10201 in recv em0\n"
                 "add count log udp from any to any 10301 in recv em0\n" + ALLOW)
    for port in (10100, 10200, 10201, 10301):
        routed.a.run("bash", "-c", f"echo x > /dev/udp/{routed.b.ipv4}/{port}")

    assert eventually(lambda: len(gateway.log_lines()) >= 4)
    found = [(line.split()[1], line.split()[5].rsplit(":", 1)[1]) for line in gateway.log_lines()]
    # Workers write their lines side by side.
    assert sorted(found) == [("100", "10100"), ("200", "10200"), ("201", "10201"), ("301", "10301")]


def test_layer2_rules_do_not_see_routed_packets(routed, gateway):
    """As on a host whose layer 2 is not filtered (scenario 27 is a bridge's)."""
    gateway.load("add 100 deny ip from any to any layer2\n"
                 "add 110 deny ip from any to any MAC any any\n"
                 "add 120 count ip from any to any not layer2\n" + ALLOW)
    assert routed.a.ping(routed.b.ipv4, 2)
    assert gateway.counters(100)[0] == 0 and gateway.counters(110)[0] == 0
    assert gateway.counters(120)[0] >= 4
