"""What rules change in packets, and what they write on them, on the wire."""

import pytest
from lab import Wire
from scapy.all import IP, TCP, UDP, Ether, ICMPv6EchoRequest, IPv6


def passed(bed, packet, wanted=lambda packet: True, seconds=5.0):
    """What B receives of a packet that A sends; None: nothing."""
    frame = bytes(Ether(src=bed.a.mac, dst=bed.b.mac) / packet)
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        sender.send(frame)
        got = receiver.receive(lambda bytes_: wanted(Ether(bytes_)), seconds)
    return Ether(got[0]) if got else None


def udp(bed, tos=0, port=4000):
    return IP(src=bed.a.ipv4, dst=bed.b.ipv4, tos=tos, id=4711) / UDP(sport=5, dport=port) / b"abc"


def is_udp(packet):
    return UDP in packet and packet[UDP].sport == 5


# Scenarios 10 and 11 of the upstream tests: the two ECN bits stay.
@pytest.mark.parametrize("tos", [0, 3, 1, 255])
def test_setdscp(bed, appliance, tos):
    appliance.load("add setdscp 9 ip from any to any\nadd allow ip from any to any\n")
    got = passed(bed, udp(bed, tos), is_udp)
    assert got[IP].tos == 36 | (tos & 3)
    checksum = got[IP].chksum
    del got[IP].chksum
    assert Ether(bytes(got))[IP].chksum == checksum


def test_setdscp_of_ipv6(bed, appliance):
    appliance.load("add setdscp 9 ip from any to any\nadd allow ip from any to any\n")
    packet = IPv6(src=bed.a.ipv6, dst=bed.b.ipv6, tc=2, fl=0xabcde) / UDP(sport=5, dport=6) / b"x"
    got = passed(bed, packet, is_udp)
    assert got[IPv6].tc == 38 and got[IPv6].fl == 0xabcde


# Scenario 12
def test_dscp(bed, appliance):
    appliance.load("add deny ip from any to any dscp 9\nadd allow ip from any to any\n")
    assert passed(bed, udp(bed, 36), is_udp, 1.0) is None
    assert passed(bed, udp(bed, 32), is_udp) is not None


def test_later_rules_see_the_new_code_point(bed, appliance):
    appliance.load("add setdscp ef ip from any to any\nadd deny ip from any to any dscp be\n"
                   "add allow ip from any to any dscp ef\n")
    assert passed(bed, udp(bed), is_udp)[IP].tos == 184


def test_setmss_lowers_only_and_only_syns(bed, appliance):
    appliance.load("add tcp-setmss 1200 tcp from any to any\nadd allow ip from any to any\n")

    def offered(flags, mss):
        packet = IP(src=bed.a.ipv4, dst="192.0.2.99") / TCP(sport=5, dport=6, flags=flags, options=[
            ("NOP", None), ("MSS", mss), ("SAckOK", b"")])
        got = passed(bed, packet, lambda p: TCP in p and p[TCP].sport == 5)
        checksum = got[TCP].chksum
        del got[TCP].chksum
        assert Ether(bytes(got))[TCP].chksum == checksum
        return dict(got[TCP].options)["MSS"]
    assert offered("S", 1460) == 1200
    assert offered("SA", 1460) == 1200
    assert offered("S", 536) == 536
    assert offered("A", 1460) == 1460


# Scenario 26
def test_flow_label(bed, appliance):
    appliance.load("add allow ip6 from any to any flow-id 0xbaad\n"
                   "add deny ipv6-icmp from any to any icmp6types 128 in\n"
                   "add allow ip from any to any\n")

    def echo(label):
        return passed(bed, IPv6(src=bed.a.ipv6, dst=bed.b.ipv6, fl=label) / ICMPv6EchoRequest(id=77),
                      lambda p: ICMPv6EchoRequest in p and p[ICMPv6EchoRequest].id == 77, 1.5)
    assert echo(0xbaad) is not None
    assert echo(0xf001) is None


def test_tags_calls_marks_and_fibs(bed, appliance):
    appliance.load("add 100 skipto 1000 ip from any to any\n"
                   "add 500 count tag 7 udp from any to any 4000\n"
                   "add 510 setmark 0x12 udp from any to any 4001\n"
                   "add 520 setfib 3 udp from any to any 4002\n"
                   "add 590 return ip from any to any\n"
                   "add 1000 call 500 ip from any to any\n"
                   "add 1100 allow ip from any to any tagged 7\n"
                   "add 1110 allow ip from any to any mark 0x2:0xf\n"
                   "add 1120 allow ip from any to any fib 3\n"
                   "add 1200 deny ip from any to any\n")
    assert passed(bed, udp(bed, port=4000), is_udp) is not None
    assert passed(bed, udp(bed, port=4001), is_udp) is not None
    assert passed(bed, udp(bed, port=4002), is_udp) is not None
    assert passed(bed, udp(bed, port=4003), is_udp, 1.0) is None
    assert appliance.counters(1000)[0] >= 4
    assert appliance.counters(590)[0] == appliance.counters(1000)[0]
