"""`ipfw capture` and `ipfw trace --live`: packets as the rules see them, with real traffic."""

import json
import os
import re
import signal
import struct
import subprocess
import time

import pytest
from lab import Appliance
from lab.following import Following
from lab.network import eventually
from scapy.all import ICMP, IP, UDP, Ether, RawPcapNgReader

RULES = ("add 100 allow icmp from any to any icmptypes 8 in\n"
         "add 200 deny udp from any to any\n"
         "add 300 allow ip from any to any\n")


def options_of(data):
    """{code: value} of a list of options."""
    options = {}
    while data:
        code, size = struct.unpack_from("<HH", data)
        options[code] = data[4:4 + size]
        data = data[4 + (size + 3) // 4 * 4:]
    return options


def texts_of(path):
    """(names of the interfaces, comments of the packets), which scapy 2.5 does not tell."""
    names, comments, data = [], [], path.read_bytes()
    while data:
        kind, length = struct.unpack_from("<II", data)
        if kind == 1:
            names.append(options_of(data[16:length - 4])[2].decode())
        elif kind == 6:
            captured = struct.unpack_from("<I", data, 20)[0]
            options = options_of(data[28 + (captured + 3) // 4 * 4:length - 4])
            comments.append(options[1].decode())
        data = data[length:]
    return names, comments


def packets_of(path):
    """[(comment, frame, what scapy says beside it)] of a capture file."""
    reader = RawPcapNgReader(str(path))
    try:
        packets = list(reader)
    finally:
        reader.close()
    comments = texts_of(path)[1]
    assert len(comments) == len(packets)
    return [(comment, Ether(data), info)
            for comment, (data, info) in zip(comments, packets)]


class Capture(Following):
    def __init__(self, appliance, *words):
        self.path = appliance.directory / "x.pcapng"
        self.path.unlink(missing_ok=True)
        super().__init__(appliance, "capture", *words, "-w", self.path)
        assert eventually(self.path.exists, 5), (self.complaints, appliance.output("controlplane"))


def datagrams(bed, count=1, port=53, size=1):
    bed.a.run("/usr/bin/python3", "-c",
              "import socket\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              f"for i in range({count}):\n"
              f"    s.sendto(b'x' * {size}, ('{bed.b.ipv4}', {port}))\n")


def test_a_file_that_others_can_read(bed, appliance):
    appliance.load(RULES)
    with Capture(appliance, "-c", 4, "host", bed.b.ipv4) as capture:
        assert bed.a.ping(bed.b.ipv4)
        datagrams(bed, 2)
        assert capture.end(None) == 0
        assert "4 packets captured" in capture.complaints[-1]
    packets, names = packets_of(capture.path), texts_of(capture.path)[0]
    generation = json.loads(appliance.must("top", "--once", "--json", "--interval", "0.1"))[
        "generation"]
    comments = [comment for comment, _, _ in packets]
    assert comments == [f"rule 100, generation {generation}, pass, in",
                        f"rule 300, generation {generation}, pass, in",
                        *[f"rule 200, generation {generation}, drop, in"] * 2]
    assert names == ["em0", "em1"]
    request, reply, first, _ = (frame for _, frame, _ in packets)
    assert request[IP].dst == str(bed.b.ipv4) and request[ICMP].type == 8
    assert reply[IP].src == str(bed.b.ipv4) and reply[ICMP].type == 0
    assert first[UDP].dport == 53
    seconds = (packets[0][2].tshigh << 32 | packets[0][2].tslow) / 1e9
    assert abs(seconds - time.time()) < 60


@pytest.mark.parametrize("words, rules", [
    (["--rule", "200"], [200]), (["proto", "icmp"], [100, 300]), (["port", "53"], [200]),
    (["deny"], [200]), (["accept", "proto", "icmp"], [100, 300]), (["out"], []),
    (["host", "203.0.113.0/24"], []),
])
def test_filters(bed, appliance, words, rules):
    appliance.load(RULES)
    with Capture(appliance, *words) as capture:
        assert bed.a.ping(bed.b.ipv4)
        datagrams(bed)
        time.sleep(0.3)
        assert capture.end() == 0
    packets = packets_of(capture.path)
    assert [int(comment.split(",")[0].split()[1]) for comment, _, _ in packets] == rules


def test_frames_are_cut(bed, appliance):
    appliance.load(RULES)
    with Capture(appliance, "-s", 40, "-c", 1, "proto", "udp") as capture:
        datagrams(bed, 1, size=1000)
        assert capture.end(None) == 0
    (_, frame, info), = packets_of(capture.path)
    assert info.wirelen == 1042 and len(bytes(frame)) == 40


def test_the_watch_ends_with_the_client_and_with_the_control_plane(own_appliance, own_bed):
    own_appliance.start()
    own_appliance.load(RULES)
    for ending in ("client", "control plane"):
        with Capture(own_appliance) as capture:
            refused = own_appliance.ipfw("capture", "-w", "y.pcapng")
            assert refused.status == 69 and "somebody captures packets" in refused.err
            assert not (own_appliance.directory / "y.pcapng").exists()
            if ending == "client":
                capture.process.kill()
            else:
                own_appliance.stop_controlplane(signal.SIGKILL)
                assert capture.end(None) == 69
                own_appliance.start_controlplane()
                own_appliance.await_connection()
    # Somebody else may watch again, and sees nothing of what was left in the rings.
    with Capture(own_appliance, "-c", 1, "proto", "icmp") as capture:
        assert own_bed.a.ping(own_bed.b.ipv4)
        assert capture.end(None) == 0
    assert packets_of(capture.path)[0][0].startswith("rule 100,")


def test_without_a_data_plane_it_says_so(own_appliance):
    own_appliance.start()
    own_appliance.load(RULES)
    with Capture(own_appliance) as capture:
        own_appliance.stop_dataplane(signal.SIGKILL)
        assert capture.end(None) == 69
        assert "sluice-dataplane" in capture.complaints[0]
    done = own_appliance.ipfw("capture", "-w", "z")
    assert done.status == 69 and "sluice-dataplane is not running" in done.err


def test_one_who_sleeps_holds_nobody_up(bed, appliance):
    appliance.load(RULES)
    metric = "sluice_capture_packets_lost_total"
    before = appliance.metrics().value(metric)
    with Capture(appliance, "proto", "udp") as capture:
        os.kill(capture.process.pid, signal.SIGSTOP)
        sent = 20_000
        datagrams(bed, sent, size=1000)
        # Others lose some before they come to the rules.
        judged = appliance.counters(200)[0]
        assert judged > sent // 2
        os.kill(capture.process.pid, signal.SIGCONT)
        time.sleep(0.5)
        datagrams(bed)
        time.sleep(0.5)
        assert capture.end() == 0
        lost = sum(int(match.group(1)) for line in capture.complaints
                   if (match := re.search(r"(\d+) packets were lost", line)))
        assert 0 < lost < sent
        assert len(packets_of(capture.path)) + lost == judged + 1
    assert appliance.metrics().value(metric) - before == lost


def test_who_may_only_look_may_not_capture(own_bed, build):
    with Appliance(own_bed.middle, build, control={"read": ["daemon"]}) as appliance:
        appliance.start()
        appliance.load(RULES)
        appliance.directory.chmod(0o755)
        done = subprocess.run(
            ["setpriv", "--reuid=daemon", "--regid=nogroup", "--clear-groups",
             str(appliance.ipfw_program), "capture", "-w", "-"],
            capture_output=True, text=True, timeout=10, env=appliance.environment())
        assert done.returncode == 77 and "needs the role operate" in done.stderr
        with Capture(appliance) as capture:
            assert capture.end() == 0
        assert 'did="capture"' in appliance.output("controlplane")


def test_live_traces(bed, appliance):
    """Each packet with its way through the rules, by the words of `ipfw trace`."""
    appliance.load("add 50 count ip from any to any\n" + RULES)
    with Following(appliance, "trace", "--live", "proto", "udp", "-c", 2) as live:
        time.sleep(0.5)
        datagrams(bed, 2)
        assert live.end(None) == 0, live.complaints
    heads = [line for line in live.lines if not line.startswith(" ")]
    assert len(heads) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z in em0, \d+ bytes: rule 200, drop, generation \d+",
                        heads[0])
    same = appliance.must("trace", f"in em0 udp {bed.a.ipv4}:5 > {bed.b.ipv4}:53").splitlines()
    first = [line.removeprefix("    ") for line in live.lines[1:live.lines.index(heads[1], 1)]]
    assert first == same
    assert "verdict: deny, by rule 200" in first[-1]


def test_a_trace_that_comes_too_late_says_so(bed, appliance):
    """The state that the packet made decides the trace: then the rule is another one."""
    appliance.load("add 50 check-state\n"
                   "add 60 deny udp from any to any 54\n"
                   "add 100 allow udp from any to any limit src-addr 1\n"
                   "add 300 allow ip from any to any\n")
    with Following(appliance, "trace", "--live", "--json", "proto", "udp", "-c", 1) as live:
        time.sleep(0.5)
        datagrams(bed, 1, port=53)
        assert live.end(None) == 0, live.complaints
    trace = json.loads(live.lines[0])
    assert trace["schema"] == "sluice/live_trace/1" and trace["rule"] == 100
    assert trace["verdict"] == "pass" and trace["interface"] == "em0"
    assert any("state" in line for line in trace["trace"])


@pytest.mark.parametrize("words, status", [
    (("capture",), 64), (("capture", "-w"), 64), (("capture", "-w", "x", "-s", "0"), 65),
    (("capture", "-w", "x", "--json"), 64), (("capture", "-w", "/no/such/folder/x"), 71),
    (("trace", "--live", "in em0 tcp 1.2.3.4:5 > 6.7.8.9:80"), 64),
    (("trace", "--live", "-w", "x"), 64)])
def test_mistakes(appliance, words, status):
    done = appliance.ipfw(*words)
    assert done.status == status and done.err.startswith("ipfw: "), done


def test_rules_change_while_captures_come_and_go(appliance):
    """An order to watch and a ruleset never cross on their way to the data plane."""
    for _ in range(15):
        with Capture(appliance) as capture:
            capture.process.kill()
            appliance.load(RULES)
    assert "answers what it was not asked" not in appliance.output("controlplane")
