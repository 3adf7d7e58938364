"""The log with real traffic: lines, limits, the switch, the file."""

import json
import os
import re
import signal
import socket
import threading
import time

import pytest
from lab import Appliance
from lab.network import eventually

PING = "add 100 allow icmp from any to any icmptypes 8\nadd 200 allow icmp from any to any\n"


def lines_become(appliance, expected, seconds=5):
    eventually(lambda: appliance.log_lines() == expected, seconds)
    assert appliance.log_lines() == expected


def settled(appliance):
    """The log lines, when there have been no new ones for a while."""
    lines = appliance.log_lines()
    while True:
        time.sleep(0.5)
        now = appliance.log_lines()
        if now == lines:
            return now
        lines = now


def test_line_and_its_surroundings(bed, appliance):
    appliance.load("add 100 allow log icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4)
    lines_become(appliance,
                 [f"ipfw: 100 Accept ICMP:8.0 {bed.a.ipv4} {bed.b.ipv4} in via em0"])
    whole = appliance.log_file.read_text()
    assert re.match(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ipfw: 100 Accept ", whole)
    assert oct(appliance.log_file.stat().st_mode & 0o777) in ("0o600", "0o640")


def test_limit_notice_and_resetlog(bed, appliance):
    """logamount 3 and five packets, then resetlog and two: three lines, the notice, two lines."""
    appliance.load("add 100 allow log logamount 3 icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    line = f"ipfw: 100 Accept ICMP:8.0 {bed.a.ipv4} {bed.b.ipv4} in via em0"
    notice = "ipfw: limit 3 reached on entry 100"
    assert bed.a.ping(bed.b.ipv4, 5)
    lines_become(appliance, [line] * 3 + [notice])
    done = appliance.ipfw("resetlog", 100)
    assert (done.status, done.out) == (0, "Entry 100 logging count reset.\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    lines_become(appliance, [line] * 3 + [notice] + [line] * 2)
    assert settled(appliance) == [line] * 3 + [notice] + [line] * 2
    assert appliance.counters(100)[0] == 7


def test_syslog_alone(bed, appliance):
    """`logdst syslog`: there and not in the file, whatever the switch says."""
    if os.path.exists("/dev/log"):
        pytest.skip("there is a syslogd already")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
        syslogd.bind("/dev/log")
        try:
            syslogd.settimeout(5)
            appliance.load("add 4711 count log logdst syslog icmp from any to any icmptypes 8\n"
                           "add 4712 count log icmp from any to any icmptypes 8\n"
                           "add 4713 allow icmp from any to any\n")
            for switch in ("enable", "disable"):
                appliance.must(switch, "verbose")
                assert bed.a.ping(bed.b.ipv4)
                expected = f"ipfw: 4711 Count ICMP:8.0 {bed.a.ipv4} {bed.b.ipv4} in via em0"
                while not syslogd.recv(4096).decode().endswith(expected):
                    pass
            lines = settled(appliance)
            assert len(lines) == 1 and lines[0].startswith("ipfw: 4712 ")
        finally:
            os.unlink("/dev/log")


def test_zero_arms_the_limit_again(bed, appliance):
    appliance.load("add 100 allow log logamount 1 icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert eventually(lambda: len(appliance.log_lines()) == 2)
    appliance.must("-q", "zero", 100)
    assert bed.a.ping(bed.b.ipv4, 2)
    assert eventually(lambda: len(appliance.log_lines()) == 4)
    assert len(settled(appliance)) == 4


def test_limit_is_fixed_when_the_rule_is_added(bed, appliance):
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose_limit=2")
    appliance.load("add 100 allow log icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose_limit=0")
    assert bed.a.ping(bed.b.ipv4, 4)
    assert eventually(lambda: len(appliance.log_lines()) == 3)
    assert settled(appliance)[-1] == "ipfw: limit 2 reached on entry 100"
    assert "log logamount 2" in appliance.must("list", 100)


def test_switch_without_a_reload(bed, appliance):
    appliance.load("add 100 allow log icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    rules = appliance.must("list")
    done = appliance.ipfw("sysctl", "-w", "net.inet.ip.fw.verbose=0")
    assert done.status == 0 and "net.inet.ip.fw.verbose: 1 -> 0" in done.out
    assert bed.a.ping(bed.b.ipv4, 2)
    assert settled(appliance) == []
    appliance.must("enable", "verbose")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert eventually(lambda: len(appliance.log_lines()) == 2)
    assert appliance.must("list") == rules
    assert appliance.counters(100)[0] == 4


def test_packet_before_any_rule(bed, appliance):
    """A TCP fragment with offset 1 is refused although everything is allowed."""
    from lab import Wire
    from scapy.all import IP, Ether
    appliance.load("add 100 allow ip from any to any\n")
    fragment = (Ether(src=bed.a.mac, dst=bed.b.mac) /
                IP(src=bed.a.ipv4, dst=bed.b.ipv4, proto=6, frag=1, id=77) / (b"\0" * 16))
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        sender.send(fragment)
        assert not receiver.receive(lambda got: got[18:20] == b"\0\x4d", seconds=1)
    assert eventually(lambda: any(line.startswith("ipfw: -1 Refuse TCP")
                                  for line in appliance.log_lines()))
    assert appliance.drops()["tcp_fragment_offset_1"] >= 1


def pings(bed, count):
    bed.a.run("ping", "-q", "-c", str(count), "-i", "0.002", str(bed.b.ipv4))


def test_a_rule_logs_so_much_in_a_second(bed, appliance):
    """What is left out is counted, and told in one line a second."""
    appliance.load("add 100 count log icmp from any to any icmptypes 8\n"
                   "add 150 count log icmp from any to any icmptypes 0\n"
                   "add 200 allow icmp from any to any\n")
    before = appliance.metrics().value("sluice_log_left_out_total")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose_rate=5")
    try:
        begin = time.monotonic()
        pings(bed, 300)
        seconds = int(time.monotonic() - begin) + 2
        assert appliance.counters(100)[0] == 300 == appliance.counters(150)[0]
        lines = settled(appliance)
        time.sleep(1.2)
        lines = settled(appliance)
        of_rules = [line for line in lines if " Count " in line]
        told = [line for line in lines if "left out" in line]
        assert 10 <= len(of_rules) <= 2 * 5 * seconds
        assert 1 <= len(told) <= seconds + 1
        left_out = sum(int(line.split()[1]) for line in told)
        assert left_out == 600 - len(of_rules)
        assert appliance.metrics().value("sluice_log_left_out_total") - before == left_out
        assert "more than 5 in a second (net.inet.ip.fw.verbose_rate)" in told[0]
        assert "at entry 100 150" in told[0] or "at entry 150 100" in told[0]
    finally:
        appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose_rate=0")


def test_json_lines(own_bed, build):
    with Appliance(own_bed.middle, build, controlplane={"log_format": "json"}) as appliance:
        appliance.start()
        appliance.must("-q", "enable", "verbose")
        appliance.load("add 100 allow log logamount 1 icmp from any to any icmptypes 8\n"
                       "add 200 allow icmp from any to any\n"
                       "add 300 deny tcp from any to any expires 1s // a \"quoted\" b\n")
        assert own_bed.a.ping(own_bed.b.ipv4)
        assert eventually(lambda: len(appliance.log_file.read_text().splitlines()) == 3, 5)
        ping, notice, expired = map(json.loads, appliance.log_file.read_text().splitlines())
        assert ping["schema"] == "sluice/log/1" and ping["rule"] == 100
        assert ping["source"] == str(own_bed.a.ipv4) and ping["fate"] == "accept"
        assert notice["line"] == "ipfw: limit 1 reached on entry 100"
        assert expired["line"].startswith("ipfw: rule 300 has expired: ")
        assert expired["line"].endswith('// a "quoted" b')


def test_no_line_is_lost_or_doubled_when_the_file_is_rotated(bed, appliance):
    """As logrotate does it: the file is renamed, made anew, and SIGHUP comes, under traffic."""
    appliance.load("add 100 count log icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    names = [appliance.log_file.with_suffix(f".{i}") for i in range(3)]
    traffic = threading.Thread(target=pings, args=(bed, 600))
    traffic.start()
    for name in names:
        time.sleep(0.3)
        os.rename(appliance.log_file, name)
        os.close(os.open(appliance.log_file, os.O_CREAT | os.O_WRONLY, 0o640))
        appliance.controlplane.send_signal(signal.SIGHUP)
    traffic.join()
    assert eventually(lambda: sum(path.read_text().count("ipfw: 100 Count ")
                                  for path in [*names, appliance.log_file]) == 600, 5)
    assert all(path.read_text() for path in names)
    for path in names:
        path.unlink()


def test_syslog_can_put_the_lines_into_a_file_of_their_own(own_bed, build, tmp_path):
    """What a syslog daemon needs for `!ipfw` or `programname == ipfw`: the identity, the facility
    authpriv, the priorities info and notice. The one here does with it what ipfw(8) says."""
    if os.path.exists("/dev/log"):
        pytest.skip("there is a syslogd already")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd, \
            Appliance(own_bed.middle, build,
                      controlplane={"log_file": "", "syslog": True}) as appliance:
        syslogd.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        try:
            syslogd.settimeout(5)
            appliance.start()
            appliance.must("-q", "enable", "verbose")
            appliance.load("add 2060 allow log logamount 1 icmp from any to any icmptypes 8\n"
                           "add 2070 allow icmp from any to any\n")
            assert own_bed.a.ping(own_bed.b.ipv4)
            own_file = []
            while len(own_file) < 2:
                message = re.fullmatch(
                    r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([^:\[]+)(?:\[\d+\])?: (.*)",
                    syslogd.recv(4096).decode())
                if message and message.group(2) == "ipfw":
                    own_file.append((int(message.group(1)), message.group(3)))
            authpriv, notice, info = 10 << 3, 5, 6
            assert own_file == [
                (authpriv | info,
                 f"2060 Accept ICMP:8.0 {own_bed.a.ipv4} {own_bed.b.ipv4} in via em0"),
                (authpriv | notice, "limit 1 reached on entry 2060")]
        finally:
            os.unlink("/dev/log")


def test_hangup_opens_the_file_again(bed, appliance):
    appliance.load("add 100 allow log icmp from any to any icmptypes 8\n"
                   "add 200 allow icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4)
    assert eventually(lambda: len(appliance.log_lines()) == 1)
    old = appliance.log_file.with_suffix(".1")
    os.rename(appliance.log_file, old)
    appliance.controlplane.send_signal(signal.SIGHUP)
    assert eventually(appliance.log_file.exists)
    assert bed.a.ping(bed.b.ipv4, 2)
    assert eventually(lambda: len(appliance.log_lines()) == 2)
    assert old.read_text().count("ipfw: ") == 1


def test_lines_of_other_protocols(bed, appliance):
    from lab import Wire
    from scapy.all import UDP, Ether, IP
    appliance.load("add 100 deny log udp from any to any 53\nadd 300 deny log ip4 from any to any\n")
    head = Ether(src=bed.a.mac, dst=bed.b.mac)
    packet = IP(src="198.51.100.7", dst="192.0.2.1", id=5)
    with Wire(bed.a) as sender:
        sender.send(head / packet / UDP(sport=1024, dport=53) / b"query")
        sender.send(head / IP(src="198.51.100.7", dst="192.0.2.1", proto=47) / b"\0\0\x08\0")
        sender.send(head / IP(src="198.51.100.7", dst="192.0.2.1", proto=17, id=9, flags="MF",
                              frag=0) / UDP(sport=1, dport=2, len=24) / (b"\0" * 8))
    lines_become(appliance, [
        "ipfw: 100 Deny UDP 198.51.100.7:1024 192.0.2.1:53 in via em0",
        "ipfw: 300 Deny P:47 198.51.100.7 192.0.2.1 in via em0",
        "ipfw: 300 Deny UDP 198.51.100.7:1 192.0.2.1:2 in via em0 (frag 9:16@0+)"])
