"""Programs of other people on the twins, which take them for interfaces like any other: a DHCP client,
router advertisements, and what routing daemons send and hear."""

import contextlib
import socket
import struct

import pytest
from lab import ALLOW, Appliance, RoutedBed
from lab.network import eventually
from lab.network_manager import missing, network_manager

SERVER, POOL = "198.18.7.1", "198.18.7."
ADVERTISED = "2001:db8:7:"
OSPF, RIP_PORT = 89, 520
OSPF_ROUTERS4, OSPF_ROUTERS6, RIP_ROUTERS = "224.0.0.5", "ff02::5", "224.0.0.9"
ADD_GROUP, ADD_GROUP6 = socket.IP_ADD_MEMBERSHIP, socket.IPV6_JOIN_GROUP

needs_network_manager = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def addresses(bed, start):
    return [word for word in bed.middle.ip("address", "show", "dev", "em1").split()
            if word.startswith(start)]


@needs_network_manager
def test_a_dhcp_client_gets_its_address_from_outside(build):
    """And by IPv6 from the advertisements of a router. Both programs are systemd-networkd."""
    with contextlib.ExitStack() as stack:
        bed = stack.enter_context(RoutedBed())
        gateway = stack.enter_context(Appliance(bed.middle, build, ports=bed.ports()))
        gateway.start()
        gateway.load("add 100 count udp from any 68 to 255.255.255.255 67 out xmit em1\n"
                     "add 110 count udp from any 67 to any 68 in recv em1\n" + ALLOW)
        stack.enter_context(network_manager(
            bed.b, "eth0",
            Network={"Address": SERVER + "/24", "DHCPServer": "yes", "IPv6SendRA": "yes",
                     "IPv6AcceptRA": "no", "KeepConfiguration": "yes"},
            DHCPServer={"PoolOffset": 100, "PoolSize": 20},
            IPv6Prefix={"Prefix": ADVERTISED + ":/64"}))
        stack.enter_context(network_manager(
            bed.middle, "em1",
            Network={"DHCP": "ipv4", "IPv6AcceptRA": "yes", "KeepConfiguration": "yes"},
            DHCPv4={"ClientIdentifier": "mac"}))
        assert eventually(lambda: addresses(bed, POOL), 30)
        assert gateway.counters(100)[0] >= 2 and gateway.counters(110)[0] >= 2
        # The way to everywhere, which the lease has brought, is the way of A's packets as well.
        bed.b.ip("address", "add", "203.0.113.9/32", "dev", "lo")
        assert eventually(lambda: bed.a.ping("203.0.113.9", seconds=1))
        assert f"default via {SERVER} dev em1 proto dhcp" in bed.middle.ip("route")
        leased = addresses(bed, POOL)[0].split("/")[0]
        gateway.load("add 100 deny icmp from any to me in recv em1 icmptypes 8\n" + ALLOW)
        assert not bed.b.ping(leased, seconds=1)
        gateway.load(ALLOW)
        assert bed.b.ping(leased)
        assert eventually(lambda: addresses(bed, ADVERTISED), 30)
        assert eventually(lambda: bed.b.ping(addresses(bed, ADVERTISED)[0].split("/")[0],
                                             seconds=1), 15)


def routing_socket(host, interface, group, kind, protocol, port=0):
    """A socket of a routing daemon: on one interface, in a group of the link."""
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with host.inside():
        made = socket.socket(family, kind, protocol)
        index = socket.if_nametoindex(interface)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        made.setsockopt(socket.IPPROTO_IPV6, ADD_GROUP6,
                        socket.inet_pton(family, group) + struct.pack("=I", index))
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        made.setsockopt(socket.IPPROTO_IP, ADD_GROUP,
                        struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index))
    if port:
        made.bind(("", port))
    made.settimeout(3)
    return made


@pytest.mark.parametrize("group, kind, protocol, port", [
    (OSPF_ROUTERS4, socket.SOCK_RAW, OSPF, 0),
    (OSPF_ROUTERS6, socket.SOCK_RAW, OSPF, 0),
    (RIP_ROUTERS, socket.SOCK_DGRAM, 0, RIP_PORT),
], ids=["OSPF", "OSPFv3", "RIP"])
def test_routing_daemons_hear_each_other_over_the_link(routed, gateway, group, kind, protocol, port):
    """As locally made packets on the way out; and no word of theirs comes to another link."""
    which = protocol or "udp"
    gateway.load(f"add 100 count {which} from me to {group} out xmit em1 not recv em*\n"
                 f"add 110 count {which} from not me to {group} in recv em1\n" + ALLOW)
    with routing_socket(routed.middle, "em1", group, kind, protocol, port) as ours, \
            routing_socket(routed.b, "eth0", group, kind, protocol, port) as theirs, \
            routing_socket(routed.a, "eth0", group, kind, protocol, port) as elsewhere:
        ours.sendto(b"hello from the gateway", (group, port))
        heard, sender = theirs.recvfrom(2048)
        assert heard.endswith(b"hello from the gateway")
        theirs.sendto(b"hello from B", (group, port))
        heard, sender = ours.recvfrom(2048)
        assert heard.endswith(b"hello from B")
        # What is for one router goes to it alone.
        theirs.sendto(b"described to you", (routed.router_b6 if ":" in group else routed.router_b4,
                                            port))
        assert ours.recv(2048).endswith(b"described to you")
        assert (gateway.counters(100)[0], gateway.counters(110)[0]) == (1, 1)
        elsewhere.settimeout(0.3)
        with pytest.raises(TimeoutError):
            elsewhere.recv(2048)
