"""Programs of other people on the twins, which take them for interfaces like any other: what routing
daemons send and hear."""

import socket
import struct

import pytest
from lab import ALLOW

OSPF, RIP_PORT = 89, 520
OSPF_ROUTERS4, OSPF_ROUTERS6, RIP_ROUTERS = "224.0.0.5", "ff02::5", "224.0.0.9"
ADD_GROUP, ADD_GROUP6 = socket.IP_ADD_MEMBERSHIP, socket.IPV6_JOIN_GROUP

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
