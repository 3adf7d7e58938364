"""Counters and listings with real traffic."""

import re
import time

from lab.network import eventually

PING = "add 100 allow icmp from any to any\nadd 200 deny ip from any to any\n"


def test_bytes_are_ip_lengths(bed, appliance):
    """Not the frame's: an echo request of 56 bytes is an IP packet of 84 in a frame of 98."""
    appliance.load(PING)
    assert bed.a.ping(bed.b.ipv4, 2)
    assert appliance.counters(100) == (4, 4 * 84)
    assert bed.a.ping(bed.b.ipv4, 1, "-s", "1000")
    assert appliance.counters(100) == (6, 4 * 84 + 2 * 1028)


def test_padding_of_short_frames_is_not_counted(bed, appliance):
    from lab import Wire
    from scapy.all import ICMP, IP, Ether
    appliance.load(PING)
    short = IP(src=bed.a.ipv4, dst="192.0.2.77") / ICMP()
    frame = bytes(Ether(src=bed.a.mac, dst=bed.b.mac) / short).ljust(60, b"\0")
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        sender.send(frame)
        assert receiver.receive(lambda got: got == frame)
    assert appliance.counters(100) == (1, 28)


def test_ipv6_length_includes_the_header(bed, appliance):
    appliance.load("add 100 allow ipv6-icmp from any to any icmp6types 128,129\n"
                   "add 200 allow ipv6-icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv6, 2)
    assert appliance.counters(100) == (4, 4 * 104)


def test_every_rule_on_the_walk_counts(bed, appliance):
    appliance.load("add 10 count ip from any to any\n"
                   "add 20 count ip from any to any in\n"
                   "add 30 count ip from any to any out\n"
                   "add 40 skipto 100 icmp from any to any\n"
                   "add 50 count ip from any to any\n"
                   "add 100 allow ip from any to any\n")
    bed.static_neighbours()
    assert bed.a.ping(bed.b.ipv4, 2)
    shown = {int(line.split()[0]): int(line.split()[1])
             for line in appliance.must("show").splitlines()}
    # IPv6 chatter of the hosts may have been counted beside the pings.
    assert shown[10] >= 4 and shown[20] == shown[10] and shown[30] == 0
    assert shown[40] == 4 and shown[100] == shown[10]
    assert shown[50] == shown[10] - 4


def test_time_of_the_last_match(bed, appliance):
    appliance.load(PING)
    listing = appliance.must("-at", "list")
    assert re.search(r"^00100 +0 +0 {26}allow icmp from any to any$", listing, re.MULTILINE)
    before = int(time.time())
    assert bed.a.ping(bed.b.ipv4)
    stamp = int(appliance.must("-T", "list", 100).split()[1])
    assert before - 1 <= stamp <= time.time() + 1
    text = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(stamp))
    assert f" {text} allow icmp from any to any\n" in appliance.must("-at", "list", 100)


def test_zero_one_rule(bed, appliance):
    appliance.load(PING + "add 50 count icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4)
    done = appliance.ipfw("zero", 100)
    assert (done.status, done.out) == (0, "Entry 100 cleared.\n")
    assert appliance.counters(100) == (0, 0)
    assert appliance.counters(50) == (2, 168)
    assert bed.a.ping(bed.b.ipv4)
    assert appliance.counters(100) == (2, 168)
    assert appliance.counters(50) == (4, 336)
    done = appliance.ipfw("zero")
    assert (done.status, done.out) == (0, "Accounting cleared.\n")
    assert appliance.counters(50) == (0, 0)


def test_other_rules_keep_their_counters_over_changes(bed, appliance):
    appliance.load(PING)
    assert bed.a.ping(bed.b.ipv4, 2)
    appliance.must("-q", "add", 50, "count", "icmp", "from", "any", "to", "any")
    appliance.must("-q", "add", 300, "count", "ip", "from", "any", "to", "any")
    appliance.must("-q", "delete", 50)
    assert appliance.counters(100) == (4, 336)
    assert bed.a.ping(bed.b.ipv4, 1)
    assert appliance.counters(100) == (6, 504)


def test_default_rule_counts(bed, appliance):
    bed.static_neighbours()
    before = appliance.counters(65535)[0]
    assert not bed.a.ping(bed.b.ipv4, seconds=1)
    assert eventually(lambda: appliance.counters(65535)[0] > before)
