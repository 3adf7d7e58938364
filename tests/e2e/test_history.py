"""`ipfw history`, `rollback N`, `save`, and what the appliance boots with."""

import json
import os
import random
import re
import signal
import stat
import subprocess
import threading
import time

import pytest
from lab.network import eventually
from lab.stream import connect, echo_server

RULES = ("add 100 allow icmp from any to any\n"
         "add 200 set 3 count log tcp from any to any 22\n"
         "add 300 set 31 allow ipv6-icmp from any to any\n"
         "set disable 3\n")
SHUT = "add 100 deny icmp from any to any\n"


def write(appliance, name, text):
    path = appliance.directory / name
    path.write_text(text)
    return path


def files(appliance, ending=".rules"):
    return sorted(path for path in (appliance.directory / "state/history").iterdir()
                  if path.name.endswith(ending))


def entries(appliance):
    told = json.loads(appliance.must("history", "--json"))
    assert told["schema"] == "sluice/history/1"
    return told["rulesets"]


def restart_both(appliance, sent=signal.SIGKILL):
    """As when the power goes, or somebody stops both."""
    appliance.stop_controlplane(sent)
    appliance.stop_dataplane(sent)
    appliance.start_dataplane()
    appliance.start_controlplane()
    assert eventually(lambda: appliance.ipfw("show", "--cost").status == 0, 20)


def state_of(appliance):
    return [appliance.must("-S", "list"), appliance.must("set", "show"),
            appliance.must("sysctl", "net.inet.ip.fw.dyn_udp_lifetime"),
            appliance.must("table", "all", "list")]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_both_daemons_end_and_all_comes_back(own_bed, own_appliance, sent):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("table", "T", "create", "type", "addr", "valtype", "skipto,tag", "limit", "9")
    appliance.must("table", "T", "add", "10.0.0.0/8", "5,6")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_udp_lifetime=33")
    appliance.must("-q", "add", "400", "deny", "ip", "from", "table(T)", "to", "any")
    appliance.must("table", "T", "add", "10.9.0.0/16", "7,8")
    if sent == signal.SIGKILL:  # the other one gives us time
        assert "is on the disk" in appliance.must("save")
    before = state_of(appliance)
    generation = entries(appliance)[-1]["generation"]
    restart_both(appliance, sent)
    assert state_of(appliance) == before
    assert own_bed.a.ping(own_bed.b.ipv4, 2)
    assert "has been given to sluice-dataplane as generation" in appliance.output("controlplane")
    assert entries(appliance)[-1]["generation"] > generation
    for path in files(appliance):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # A file of the history is a rule file.
    appliance.must("-q", "-f", "flush")
    appliance.must("-q", files(appliance)[-2] if len(files(appliance)) > 1 else files(appliance)[-1])


def test_history_and_its_words(own_appliance):
    appliance = own_appliance
    appliance.start()
    path = write(appliance, "first.rules", RULES)
    appliance.must("apply", path)
    for number in (500, 510, 520):
        appliance.must("-q", "add", number, "count", "ip", "from", "any", "to", "any")
    told = entries(appliance)
    assert [entry["command"].split(":")[0] for entry in told] == [
        "start, with the default rule alone", f"apply {path}",
        "add 500 count ip from any to any and 2 more"]
    assert [(entry["added"], entry["removed"], entry["changed"]) for entry in told] == [
        (0, 0, 0), (3, 0, 0), (3, 0, 0)]
    assert told[1]["user"] == "root" and abs(told[1]["time"] - time.time()) < 60
    lines = appliance.must("history").splitlines()
    assert lines[0].split() == ["NUMBER", "GENERATION", "WHEN", "WHO", "RULES", "COMMAND"]
    assert re.match(r" +2 +2  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  root +\+3 -0 ~0 +apply ", lines[2])
    text = appliance.must("history", "show", "2")
    assert "add 200 set 3 count log tcp from any to any 22\n" in text and "add 500" not in text
    shown = json.loads(appliance.must("history", "show", "2", "--json"))
    assert shown["schema"] == "sluice/ruleset/1" and shown["number"] == 2
    assert "\n".join(shown["lines"]) + "\n" == text
    for words in (["history", "show", "77"], ["rollback", "77"]):
        result = appliance.ipfw(*words)
        assert result.status == 69 and "no ruleset 77" in result.err
    assert appliance.ipfw("history", "show").status == 64
    assert appliance.ipfw("rollback", "x").status == 65


def test_saved_file_makes_the_same_ruleset(own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("table", "T", "create", "type", "flow")
    appliance.must("table", "T", "add", "10.0.0.1,tcp,1024,10.0.0.2,80", "5")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.verbose_limit=5")
    appliance.must("-q", "add", "600", "count", "log", "ip", "from", "any", "to", "any", "flow",
                   "table(T)")
    before = state_of(appliance)
    path = appliance.directory / "saved.rules"
    appliance.must("save", path)
    for command in (["-q", path], ["-q", "apply", path]):
        appliance.must("-q", "-f", "flush")
        appliance.must("-q", "delete", "set", "31")
        appliance.must("-q", "set", "disable", "7", "enable", "3")
        appliance.must("-q", "add", "700", "set", "31", "deny", "ip", "from", "any", "to", "any")
        appliance.must("table", "T", "flush")
        appliance.must(*command)
        assert state_of(appliance) == before
    assert appliance.ipfw("save", "/nowhere/x").status == 71


def test_rollback_keeps_counters_and_flows(own_bed, own_appliance):
    bed, appliance = own_bed, own_appliance
    appliance.start()
    bed.static_neighbours()
    appliance.load("add 50 allow icmp from any to any\n"
                   "add 100 allow tcp from any to any 7000 setup keep-state\n"
                   "add 200 count tcp from any to any\n")
    number = entries(appliance)[-1]["number"]
    with echo_server(bed.b, 7000, bed.b.ipv4):
        client = connect(bed.a, bed.b.ipv4, 7000)
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        appliance.must("apply", write(
            appliance, "second.rules", "add 40 count ip from any to any\n"
            "add 100 allow tcp from any to any 7000 setup keep-state\n"
            "add 200 deny tcp from any to any\n"))
        counted = appliance.counters(100)[0]
        assert counted > 0 and not bed.a.ping(bed.b.ipv4, 1)
        said = appliance.must("rollback", number)
        assert re.match(r"generation (\d+) -> (\d+) \(\+1 -1 ~1 rules, \d+ ms\)\n", said), said
        assert appliance.counters(100)[0] >= counted
        client.sendall(b"y")
        assert client.recv(1) == b"y"
        assert appliance.counters(100)[0] > counted
        client.close()
    assert bed.a.ping(bed.b.ipv4, 1)
    # Without a number: before that one there was only the default rule.
    appliance.must("rollback")
    assert "allow" not in appliance.must("list")
    result = appliance.ipfw("rollback")
    assert result.status == 69 and "no earlier ruleset" in result.err
    # For a time, as an apply.
    said = appliance.must("rollback", "--confirm", "1m", number)
    assert "It goes back in" in said
    appliance.must("rollback")
    assert "allow" not in appliance.must("list")


def test_too_late_for_rollback_is_not_one_further_back(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("apply", "--confirm", "1s", write(appliance, "shut.rules", SHUT))
    assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, 1), 10)
    rules = appliance.must("-S", "list")
    result = appliance.ipfw("rollback")
    assert result.status == 69 and "has gone back" in result.err
    assert appliance.must("-S", "list") == rules
    appliance.must("-q", "add", "500", "count", "ip", "from", "any", "to", "any")
    appliance.must("rollback")
    assert appliance.must("-S", "list") == rules


def test_boot_during_confirm_brings_the_one_before(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    rules = appliance.must("-S", "list")
    appliance.must("apply", "--confirm", "1m", write(appliance, "shut.rules", SHUT))
    assert not own_bed.a.ping(own_bed.b.ipv4, 1)
    restart_both(appliance)
    assert appliance.must("-S", "list") == rules
    assert own_bed.a.ping(own_bed.b.ipv4, 1)
    # The same with a control plane that was restarted before: it found what waits, and leaves it.
    appliance.must("apply", "--confirm", "1m", write(appliance, "shut.rules", SHUT))
    appliance.stop_controlplane(signal.SIGKILL)
    appliance.start_controlplane()
    assert eventually(lambda: "deny icmp" in appliance.ipfw("list").out)
    assert "deny icmp" not in appliance.must("history", "show", entries(appliance)[-1]["number"])
    restart_both(appliance)
    assert appliance.must("-S", "list") == rules
    # And with a data plane that is restarted under that control plane.
    appliance.must("apply", "--confirm", "1m", write(appliance, "shut.rules", SHUT))
    appliance.stop_controlplane(signal.SIGKILL)
    appliance.start_controlplane()
    assert eventually(lambda: "deny icmp" in appliance.ipfw("list").out)
    appliance.stop_dataplane(signal.SIGKILL)
    appliance.start_dataplane()
    assert eventually(lambda: appliance.ipfw("show", "--cost").status == 0, 20)
    assert appliance.must("-S", "list") == rules
    assert own_bed.a.ping(own_bed.b.ipv4, 1)
    # Confirmed it is what one boots with.
    appliance.must("apply", "--confirm", "1m", write(appliance, "shut.rules", SHUT))
    appliance.must("confirm")
    appliance.must("save")
    restart_both(appliance)
    assert "deny icmp" in appliance.must("list")


def test_a_damaged_file_is_set_aside(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("save")
    rules = appliance.must("-S", "list")
    appliance.must("apply", write(appliance, "shut.rules", SHUT))
    appliance.must("save")
    newest = files(appliance)[-1]
    os.truncate(newest, newest.stat().st_size // 2)
    restart_both(appliance)
    assert appliance.must("-S", "list") == rules
    assert own_bed.a.ping(own_bed.b.ipv4, 1)
    assert f"{newest} is damaged" in appliance.output("controlplane")
    assert files(appliance, ".bad") == [newest.with_name(newest.name + ".bad")]


def test_a_full_disk_stops_nothing_else(own_bed, own_appliance):
    appliance = own_appliance
    state = appliance.directory / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(state)],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        appliance.start()
        appliance.load(RULES)
        appliance.must("save")
        with open(state / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        appliance.must("apply", write(appliance, "shut.rules", SHUT))
        result = appliance.ipfw("save")
        assert result.status == 71 and "No space left on device" in result.err
        assert "is not in the history" in appliance.ipfw("history").err
        assert "No space left on device: the ruleset runs" in appliance.output("controlplane")
        assert appliance.metrics().value("sluice_history_write_errors_total") >= 1
        assert not own_bed.a.ping(own_bed.b.ipv4, 1)
        appliance.must("apply", write(appliance, "open.rules", RULES))
        assert own_bed.a.ping(own_bed.b.ipv4, 1)
        (state / "filler").unlink()
        appliance.must("save")
        rules = appliance.must("-S", "list")
        restart_both(appliance)
        assert appliance.must("-S", "list") == rules
    finally:
        appliance.stop_controlplane()
        subprocess.run(["umount", str(state)], check=True)


def test_without_a_state_directory(own_bed, build):
    from lab import Appliance
    with Appliance(own_bed.middle, build, control={"state_directory": ""}) as appliance:
        appliance.start()
        appliance.load(RULES)
        for words in (["history"], ["save"], ["rollback", "1"], ["rollback"]):
            result = appliance.ipfw(*words)
            assert result.status == 69 and "state_directory" in result.err, words
        appliance.must("save", appliance.directory / "saved.rules")
        restart_both(appliance)
        assert appliance.must("list").count("\n") == 1
        assert not (appliance.directory / "state").exists()


class Changer(threading.Thread):
    """Applies one ruleset after the other, until somebody kills the control plane."""

    def __init__(self, appliance, paths):
        super().__init__(daemon=True)
        self.appliance, self.paths, self.ends = appliance, paths, False

    def run(self):
        while not self.ends:
            for path in self.paths:
                self.appliance.ipfw("-q", "apply", path)


def test_control_plane_killed_at_any_moment_of_a_reload(own_bed, own_appliance):
    """Twenty-five times, with packets all the time: none is lost, one of the two rulesets runs, and a
    new control plane shows what the data plane has."""
    bed, appliance = own_bed, own_appliance
    appliance.start()
    filler = "".join(f"add {number} count udp from 10.{number % 250}.0.0/16 to any {number}\n"
                     for number in range(1000, 2500))
    kinds = ("first", "second")
    paths = [write(appliance, f"{kind}.rules",
                   f"add 100 allow ip from any to any // {kind}\n{filler}") for kind in kinds]
    appliance.must("-q", "apply", paths[0])
    assert bed.a.ping(bed.b.ipv4, 1)
    ping = bed.a.start("ping", "-n", "-i", "0.01", "-W", "2", bed.b.ipv4, stdout=-1)
    chance = random.Random(7)
    try:
        for _ in range(25):
            changer = Changer(appliance, paths)
            changer.start()
            time.sleep(0.05 + chance.random() * 0.1)
            appliance.stop_controlplane(signal.SIGKILL)
            changer.ends = True
            changer.join()
            appliance.start_controlplane()
            assert eventually(lambda: appliance.ipfw("show", "--cost").status == 0, 20)
            rules = appliance.must("list").splitlines()
            assert len(rules) == 1502 and rules[0].split("// ")[1] in kinds
            # What it shows is what the data plane has: nothing was pushed.
            cost = json.loads(appliance.must("show", "--cost", "--json"))
            assert cost["rules"] == 1502
            last = appliance.output("controlplane").rsplit("has been taken over", 1)[1]
            assert re.search(r"it is (the same as|newer than) ruleset \d+ of the history", last), last
    finally:
        ping.send_signal(signal.SIGINT)
        text = ping.communicate(timeout=10)[0].decode()
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
    assert sent > 100 and sent - received <= 1  # the last one may have been on its way
    # And the disk has one of them.
    appliance.must("save")
    rules = appliance.must("list")
    restart_both(appliance)
    assert appliance.must("list") == rules
    assert not files(appliance, ".new") and not files(appliance, ".bad")
