"""`ipfw tail`: the log with real traffic, as it is written."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from lab import Appliance
from lab.following import Following
from lab.network import eventually

RULES = ("add 100 count log icmp from any to any icmptypes 8 in\n"
         "add 200 deny log udp from any to any\n"
         "add 300 allow ip from any to any\n")


@pytest.fixture
def tail(appliance):
    """Starts `ipfw tail` and waits until the control plane knows of it."""
    started = []

    def start(*arguments):
        before = len(started)
        started.append(Following(appliance, "tail", *arguments))
        assert eventually(lambda: followers(appliance) == before + 1, 5)
        return started[-1]

    yield start
    for following in started:
        following.__exit__()
    assert eventually(lambda: followers(appliance) == 0, 5)


def followers(appliance):
    return appliance.metrics().value("sluice_followers")


def datagram(bed, port):
    bed.a.run("/usr/bin/python3", "-c",
              "import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
              f".sendto(b'x', ('{bed.b.ipv4}', {port}))")


def test_lines_as_in_the_file(bed, appliance, tail):
    appliance.load(RULES)
    following = tail()
    assert bed.a.ping(bed.b.ipv4, 2)
    assert following.become(2)
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ipfw: 100 Count ICMP:8.0 "
                        f"{bed.a.ipv4} {bed.b.ipv4} in via em0", following.lines[0])
    assert following.end() == 0
    assert following.lines == appliance.log_file.read_text().splitlines()
    assert following.complaints == []


@pytest.mark.parametrize("words, meant", [
    (["rule", "200"], [200]), (["proto", "icmp"], [100]), (["port", "53"], [200]),
    (["deny"], [200]), (["accept"], []), (["in"], [100, 200]), (["out"], []),
    (["host", "203.0.113.0/24"], []),
])
def test_filters(bed, appliance, tail, words, meant):
    appliance.load(RULES)
    following = tail(*words)
    assert bed.a.ping(bed.b.ipv4)
    datagram(bed, 53)
    # The end of what is looked for, whatever the filter is.
    assert eventually(lambda: len(appliance.log_lines()) == 2, 5)
    time.sleep(0.2)
    assert following.end() == 0
    assert [int(re.search(r"ipfw: (\d+) ", line).group(1)) for line in following.lines] == meant


def test_host_is_either_end(bed, appliance, tail):
    appliance.load(RULES)
    following = tail("host", bed.b.ipv4, "-c", 1)
    assert bed.a.ping(bed.b.ipv4, 3)
    assert following.end(None) == 0
    assert len(following.lines) == 1


def test_json_is_an_object_a_line(bed, appliance, tail):
    appliance.load(RULES)
    following = tail("--json", "-c", 2)
    assert bed.a.ping(bed.b.ipv4)
    datagram(bed, 53)
    assert following.end(None) == 0
    ping, refused = map(json.loads, following.lines)
    assert ping["schema"] == "sluice/log/1" and ping["rule"] == 100 and ping["icmp_type"] == 8
    assert "fate" not in ping and ping["action"] == "Count"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ping["time"])
    assert (refused["protocol"], refused["destination_port"], refused["fate"],
            refused["receive_interface"]) == ("UDP", 53, "deny", "em0")
    assert refused["source"] == str(bed.a.ipv4) and refused["line"].startswith("ipfw: 200 Deny ")


def test_without_a_file_and_syslog(own_bed, build):
    with Appliance(own_bed.middle, build, controlplane={"log_file": ""}) as appliance:
        appliance.start()
        appliance.must("-q", "enable", "verbose")
        appliance.load(RULES)
        with Following(appliance, "tail", "-c", 1) as following:
            assert eventually(lambda: followers(appliance) == 1, 5)
            assert own_bed.a.ping(own_bed.b.ipv4)
            assert following.end(None) == 0
            assert "ipfw: 100 Count " in following.lines[0]


def test_it_ends_with_the_daemon_and_says_so(own_appliance):
    own_appliance.start()
    own_appliance.must("-q", "enable", "verbose")
    with Following(own_appliance, "tail") as following:
        assert eventually(lambda: followers(own_appliance) == 1, 5)
        own_appliance.stop_controlplane()
        assert following.end(None) == 69
        assert "sluice-controlplane has ended the connection" in following.complaints[0]
    done = own_appliance.ipfw("tail")
    assert done.status == 69 and "sluice-controlplane is not running" in done.err


def test_it_says_why_there_is_nothing_to_see(appliance, tail):
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose=0")
    following = tail()
    assert following.end() == 0
    assert "net.inet.ip.fw.verbose is 0" in following.complaints[0]


def flood(bed, count):
    bed.a.run("/usr/bin/python3", "-c",
              "import socket\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              f"for i in range({count}):\n"
              f"    s.sendto(b'x', ('{bed.b.ipv4}', 53))\n")


def test_one_who_sleeps_loses_lines_and_nobody_waits(bed, appliance, tail):
    """C13: SIGSTOP. What is lost is counted and told, the daemon's memory stays as it is."""
    appliance.load(RULES)
    following = tail("--json")
    os.kill(following.process.pid, signal.SIGSTOP)
    metric = "sluice_follower_lines_lost_total"
    before = appliance.metrics().value(metric)
    sent = 0
    while appliance.metrics().value(metric) == before and sent < 300_000:
        flood(bed, 10_000)
        sent += 10_000
    assert appliance.metrics().value(metric) > before
    assert appliance.ipfw("list").status == 0
    assert eventually(lambda: len(appliance.log_lines()) == appliance.counters(200)[0], 10)
    lost = appliance.metrics().value(metric) - before
    os.kill(following.process.pid, signal.SIGCONT)
    logged = appliance.counters(200)[0]
    time.sleep(0.5)
    flood(bed, 1)
    assert eventually(lambda: len(following.lines) + lost == logged + 1, 10), (
        len(following.lines), lost, logged)
    assert sum(int(re.search(r"(\d+) lines were lost", line).group(1))
               for line in following.complaints) == lost
    assert following.end() == 0


def test_there_is_room_for_others_beside_many(appliance, tail):
    followings = [tail() for _ in range(16)]
    done = appliance.ipfw("tail")
    assert done.status == 69 and "too many clients follow" in done.err
    assert appliance.ipfw("list").status == 0
    assert all(following.end() == 0 for following in followings)


@pytest.mark.parametrize("words, status", [
    (["port", "0"], 65), (["host", "1.2.3.4/33"], 65), (["rule"], 64), (["nonsense"], 64),
    (["in", "out"], 64), (["-c", "0"], 65), (["port", "1", "port", "2"], 64)])
def test_mistakes(appliance, words, status):
    done = appliance.ipfw("tail", *words)
    assert done.status == status and done.err.startswith("ipfw: ") and done.out == ""


def test_nothing_is_audited(appliance, tail):
    before = appliance.output("controlplane").count("audit:")
    assert tail().end(signal.SIGTERM) == 0
    assert appliance.output("controlplane").count("audit:") == before


def test_a_pipe_that_is_closed_ends_it(bed, appliance):
    appliance.load(RULES)
    with subprocess.Popen([str(appliance.ipfw_program), "tail"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=appliance.environment()) as process:
        assert eventually(lambda: followers(appliance) == 1, 5)
        process.stdout.close()
        assert bed.a.ping(bed.b.ipv4)
        assert process.wait(5) in (-signal.SIGPIPE, 71)
    assert eventually(lambda: followers(appliance) == 0, 5)
