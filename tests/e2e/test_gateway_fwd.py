"""`fwd` on a gateway: to a socket of this machine, which sees the packet as it came, and to another
next hop."""

import contextlib
import socket

import pytest
from lab import ALLOW, Appliance, RoutedBed, Wire, connect
from lab.network import eventually
from lab.proxy import transparent_datagrams, transparent_proxy, web_server
from scapy.all import UDP, Ether

FOREIGN4, FOREIGN6 = "203.0.113.9", "2001:db8:9::9"  # nobody has them
OTHER_MAC = "02:00:00:00:00:77"  # of a next hop beside host B
OTHER4, OTHER6 = RoutedBed.B4 + "77", RoutedBed.B6 + "77"


@pytest.fixture(scope="module")
def shared_gateway(shared_gateway, gateway_settings, routed):
    """With next hops. It names the settings itself, else pytest does not see their parameters."""
    for other in (OTHER4, OTHER6):
        routed.middle.ip("neighbour", "replace", other, "lladdr", OTHER_MAC, "dev", "em1")
    return shared_gateway


def drops(gateway, reason):
    return gateway.dataplane_counters()["drops"][reason]


def get(host, address, port=80):
    """What a web server says, or None."""
    name = f"[{address}]" if ":" in address else address
    done = host.curl(f"http://{name}:{port}/")
    return done.stdout if done.returncode == 0 else None


@contextlib.contextmanager
def datagrams(host, address, port):
    """A function that sends a text and gives the answer."""
    with host.inside():
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                               socket.SOCK_DGRAM)
    with client:
        client.settimeout(3)
        client.connect((address, port))

        def ask(text):
            client.send(text)
            return client.recv(2048)

        yield ask


# ---- To a socket of this machine -----------------------------------------------------------------


def test_scenario_22(routed, gateway):
    gateway.load("add 10 fwd 127.0.0.1,82 tcp from any to any dst-port 80 in via em0\n"
                 "add 20 allow all from any to any\n")
    with web_server(routed.middle, "127.0.0.1", 82, "the text of :82"):
        assert get(routed.a, routed.router_a4) == "the text of :82", gateway.output("dataplane")
        assert get(routed.a, routed.router_b4) == "the text of :82"
        gateway.load(ALLOW)
        assert get(routed.a, routed.router_a4) is None


@pytest.mark.parametrize("family", [4, 6])
def test_a_transparent_proxy_sees_the_original_destination(routed, gateway, family):
    server, us, loopback = ((routed.b.ipv4, routed.router_b4, "127.0.0.1") if family == 4 else
                            (routed.b.ipv6, routed.router_b6, "::1"))
    with web_server(routed.b, server, 80), transparent_proxy(routed.middle, loopback,
                                                             3128) as names:
        client = get(routed.a, server)
        assert client == (routed.a.ipv4 if family == 4 else routed.a.ipv6)
        gateway.load(f"add 10 fwd {loopback},3128 tcp from any to any 80 in recv em0\n" + ALLOW)
        # The server is asked by the proxy now; the client hears the server's address.
        for connections in (1, 2):
            assert get(routed.a, server) == us
            assert names == [(server, 80)] * connections
        assert gateway.counters(10)[0] >= 8
        gateway.load(ALLOW)
        assert get(routed.a, server) == client
        assert len(names) == 2


@pytest.mark.parametrize("destination, loopback", [(FOREIGN4, "127.0.0.1"), (FOREIGN6, "::1")])
def test_without_a_port_the_packets_own_one_is_meant(routed, gateway, destination, loopback):
    gateway.load(f"add 10 fwd {loopback} ip from any to {destination} in\n" + ALLOW)
    with transparent_datagrams(routed.middle, loopback, 5300) as names:
        with datagrams(routed.a, destination, 5300) as ask:
            assert [ask(text) for text in (b"one", b"two")] == [b"one", b"two"]
        assert names == [(destination, 5300)] * 2


def test_datagrams_and_an_address_of_an_interface(routed, gateway):
    gateway.load(f"add 10 fwd {routed.router_b4},5301 udp from any to any 53 in\n" + ALLOW)
    with transparent_datagrams(routed.middle, routed.router_b4, 5301) as names:
        with datagrams(routed.a, routed.b.ipv4, 53) as ask:
            assert ask(b"question") == b"question"
        assert names == [(routed.b.ipv4, 53)]


def test_another_port_of_the_same_address(routed, gateway):
    gateway.load(f"add 10 fwd {routed.router_a4},8080 tcp from any to {routed.router_a4} 80 in\n" +
                 ALLOW)
    with web_server(routed.middle, routed.router_a4, 80, "80"), \
            web_server(routed.middle, routed.router_a4, 8080, "8080"):
        assert get(routed.a, routed.router_a4) == "8080"
        gateway.load(ALLOW)
        assert get(routed.a, routed.router_a4) == "80"


def test_on_the_way_out(routed, gateway):
    gateway.load("add 10 fwd 127.0.0.1,82 tcp from any to any 80 out recv em0 xmit em1\n" + ALLOW)
    with transparent_proxy(routed.middle, "127.0.0.1", 82) as names, \
            web_server(routed.b, routed.b.ipv4, 80):
        assert get(routed.a, routed.b.ipv4) == routed.router_b4
        assert names == [(routed.b.ipv4, 80)]


def test_with_states(routed, gateway):
    gateway.load("add 5 check-state\n"
                 "add 10 fwd 127.0.0.1,3128 tcp from any to any 80 in recv em0 setup keep-state\n"
                 "add 20 deny tcp from any to any recv em0\n" + ALLOW)
    with web_server(routed.b, routed.b.ipv4, 80), transparent_proxy(routed.middle, "127.0.0.1",
                                                                    3128) as names:
        assert get(routed.a, routed.b.ipv4) == routed.router_b4
        assert names == [(routed.b.ipv4, 80)]


def test_nobody_listens(routed, gateway):
    """FreeBSD's answer: a reset, or port unreachable; whoever has the packet's own port is not
    asked."""
    gateway.load("add 10 fwd 127.0.0.1,82 ip4 from any to any 80 in via em0\n"
                 "add 11 fwd ::1,82 ip6 from any to any 80 in via em0\n" + ALLOW)
    before = drops(gateway, "fwd_without_listener")
    with web_server(routed.middle, routed.router_a4, 80, "wrong"):
        for address in (routed.router_a4, routed.b.ipv4, routed.b.ipv6):
            with pytest.raises(ConnectionRefusedError):
                connect(routed.a, address, 80)
    for address in (routed.b.ipv4, routed.b.ipv6):
        with datagrams(routed.a, address, 80) as ask, pytest.raises(ConnectionRefusedError):
            ask(b"question")
    assert drops(gateway, "fwd_without_listener") == before + 5


def test_protocols_without_ports_are_taken_in(routed, gateway):
    gateway.load("add 10 fwd 127.0.0.1 icmp from any to any in via em0\n" + ALLOW)
    before = gateway.dataplane_counters()["to_host"]
    assert routed.a.ping(routed.router_b4)
    assert not routed.a.ping(routed.b.ipv4, seconds=1)
    assert gateway.dataplane_counters()["to_host"] >= before + 2


def test_fragments_need_reass(routed, gateway):
    gateway.load("add 10 fwd 127.0.0.1,5300 udp from any to any 53 in\n"
                 "add 11 fwd 127.0.0.1,5300 udp from any to any frag in\n" + ALLOW)
    before = drops(gateway, "fwd_fragment")
    long = bytes(2000)
    with transparent_datagrams(routed.middle, "127.0.0.1", 5300) as names:
        with datagrams(routed.a, FOREIGN4, 53) as ask:
            with pytest.raises(TimeoutError):
                ask(long)
            assert drops(gateway, "fwd_fragment") == before + 2
            gateway.load("add 9 reass ip from any to any in\n"
                         "add 10 fwd 127.0.0.1,5300 udp from any to any 53 in\n" + ALLOW)
            assert ask(long) == long
        assert names == [(FOREIGN4, 53)]


def test_packets_of_this_machine_are_not_given_back_to_it(routed, gateway):
    gateway.load("add 10 fwd 127.0.0.1,82 udp from me to any 80 out\n" + ALLOW)
    before = drops(gateway, "fwd_of_own")
    with datagrams(routed.middle, routed.b.ipv4, 80) as ask, pytest.raises(TimeoutError):
        ask(b"question")
    assert drops(gateway, "fwd_of_own") == before + 1


def test_tablearg_names_a_socket(routed, gateway):
    gateway.load("table t create type addr valtype ipv4\n"
                 f"table t add {FOREIGN4} 127.0.0.1\n"
                 "add 10 fwd tablearg,5300 udp from any to table(t) in\n" + ALLOW)
    try:
        with transparent_datagrams(routed.middle, "127.0.0.1", 5300) as names:
            with datagrams(routed.a, FOREIGN4, 53) as ask:
                assert ask(b"question") == b"question"
            assert names == [(FOREIGN4, 53)]
    finally:
        gateway.load(ALLOW)
        gateway.must("table", "t", "destroy")


def test_the_kernel_has_rule_and_route_while_the_data_plane_runs(routed, build):
    with RoutedBed() as bed, Appliance(bed.middle, build, ports=bed.ports()) as appliance:
        assert "fwmark" not in bed.middle.ip("rule")
        appliance.start()
        assert "fwmark" in bed.middle.ip("rule") and "fwmark" in bed.middle.ip("-6", "rule")
        appliance.stop_dataplane()
        assert "fwmark" not in bed.middle.ip("rule") + bed.middle.ip("-6", "rule")


def test_a_twin_that_was_lost_gets_the_program_again(routed, build):
    with RoutedBed() as bed, Appliance(bed.middle, build, ports=bed.ports()) as appliance:
        appliance.start()
        bed.middle.ip("link", "delete", "em0")
        assert eventually(lambda: "is there again" in appliance.output("dataplane"))
        appliance.load("add 10 fwd 127.0.0.1,5300 udp from any to any 53 in\n" + ALLOW)
        with transparent_datagrams(bed.middle, "127.0.0.1", 5300) as names:
            def answered():
                with datagrams(bed.a, FOREIGN4, 53) as ask, contextlib.suppress(OSError):
                    return ask(b"question") == b"question"
                return False

            assert eventually(answered), appliance.output("dataplane")
            assert names


def test_a_kernel_that_cannot_do_it(build):
    """Without lo there is no place for the local default route."""
    with RoutedBed() as bed:
        bed.middle.ip("link", "set", "lo", "down")
        with Appliance(bed.middle, build, ports=bed.ports()) as appliance:
            appliance.start()
            assert ("packets for which fwd names an address of this machine will be dropped: the "
                    "kernel does not take a local default route through lo"
                    in appliance.output("dataplane"))
            appliance.load("add 10 fwd 127.0.0.1,5300 udp from any to any 53 in\n" + ALLOW)
            assert bed.a.ping(bed.b.ipv4)
            before = drops(appliance, "fwd_unavailable")
            with datagrams(bed.a, FOREIGN4, 53) as ask, pytest.raises(TimeoutError):
                ask(b"question")
            assert drops(appliance, "fwd_unavailable") == before + 1
            assert "fwmark" not in bed.middle.ip("rule")


# ---- To another next hop -------------------------------------------------------------------------


def send_and_see(routed, destination, ttl=64):
    """The frames of a datagram of host A that come to the link of host B."""
    v6 = ":" in destination
    number = b"\x86\xdd" if v6 else b"\x08\x00"

    def is_datagram(frame):
        return frame[12:14] == number and b"through another" in frame

    with routed.a.inside():
        client = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    with client, Wire(routed.b) as wire:
        client.sendto(b"through another", (destination, 9))
        return wire.receive(is_datagram, seconds=3)


def comparable(frame):
    """The IP packet without what differs between two datagrams of one host; its checksums are
    right."""
    packet = Ether(frame).payload
    again = packet.copy()
    again[UDP].chksum = None
    if packet.version == 4:
        again.chksum = None
    assert bytes(again) == bytes(packet)
    again[UDP].sport = 0
    if packet.version == 4:
        again.id = 0
    else:
        again.fl = 0
    return bytes(again)


@pytest.mark.parametrize("rule", ["fwd {hop} udp from any to any 9 in",
                                  "fwd {hop},4000 udp from any to any 9 in recv em0",
                                  "fwd {hop} udp from any to any 9 out xmit em1"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_next_hop_changes_the_way_and_not_the_packet(routed, gateway, rule, family):
    destination, hop = (routed.b.ipv4, OTHER4) if family == 4 else (routed.b.ipv6, OTHER6)
    straight = send_and_see(routed, destination)
    gateway.load("add 10 " + rule.format(hop=hop) + "\n" + ALLOW)
    turned = send_and_see(routed, destination)
    assert straight[0][:6].hex(":") == routed.b.mac
    assert turned[0][:6].hex(":") == OTHER_MAC
    assert comparable(straight[0]) == comparable(turned[0])


@pytest.mark.parametrize("destination, hop", [(FOREIGN4, OTHER4), (FOREIGN6, OTHER6)])
def test_a_next_hop_for_what_has_no_route(routed, gateway, destination, hop):
    assert send_and_see(routed, destination) == []
    gateway.load(f"add 10 fwd {hop} ip from any to {destination} in\n" + ALLOW)
    assert send_and_see(routed, destination)[0][:6].hex(":") == OTHER_MAC


def test_tablearg_names_a_next_hop(routed, gateway):
    gateway.load("table t create type addr valtype ipv4\n"
                 f"table t add {routed.b.ipv4} {OTHER4}\n"
                 "add 10 fwd tablearg udp from any to table(t) in\n" + ALLOW)
    try:
        assert send_and_see(routed, routed.b.ipv4)[0][:6].hex(":") == OTHER_MAC
    finally:
        gateway.load(ALLOW)
        gateway.must("table", "t", "destroy")
