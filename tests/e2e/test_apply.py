"""`ipfw apply`: a file becomes the ruleset; and goes back by itself unless it is confirmed."""

import os
import re
import signal
import time

import pytest
from lab.network import eventually

RULES = ("add 100 allow icmp from any to any\n"
         "add 200 set 3 count tcp from any to any 22\n"
         "add 300 set 31 allow ipv6-icmp from any to any\n")
SHUT = "add 100 deny icmp from any to any\n"
SAID = re.compile(r"generation (\d+) -> (\d+) \(\+(\d+) -(\d+) ~(\d+) rules, \d+ ms\)")


def write(appliance, name, text):
    path = appliance.directory / name
    path.write_text(text)
    return str(path)


def apply(appliance, text, *options):
    """(generation before, after, added, removed, changed)"""
    said = appliance.must("apply", *options, write(appliance, "apply.rules", text))
    return tuple(map(int, SAID.match(said).groups()))


def connected(appliance):
    return appliance.ipfw("show", "--cost").status == 0


def test_the_file_is_the_ruleset(own_bed, own_appliance):
    """Rules that stay keep their counters and last match, those that are not in the file go."""
    appliance = own_appliance
    appliance.start()
    appliance.load("add 50 set 31 count ip from any to any\nadd 60 count udp from any to any\n"
                   "set disable 3\n")
    before, after, *what = apply(appliance, RULES)
    assert after == before + 1 and what == [3, 2, 0]
    assert own_bed.a.ping(own_bed.b.ipv4, 3)
    counted = appliance.counters(100)
    assert counted[0] > 0
    stamps = appliance.must("-T", "list", "100")
    changed = RULES.replace("tcp from any to any 22", "tcp from any to any 23") + \
        "add 400 count ip from any to any\n"
    assert apply(appliance, changed)[2:] == (1, 0, 1)
    assert appliance.counters(100)[0] >= counted[0]
    assert appliance.must("-T", "list", "100").split()[0] >= stamps.split()[0]
    assert appliance.must("-S", "list").splitlines()[:4] == [
        "00100 set 0 allow icmp from any to any", "00200 set 3 count tcp from any to any 23",
        "00300 set 31 allow ipv6-icmp from any to any", "00400 set 0 count ip from any to any"]


def test_a_file_that_is_wrong_changes_nothing(own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    rules = appliance.must("-aS", "list")
    result = appliance.ipfw("apply", write(appliance, "bad.rules", SHUT + "add 200 deny nonsense\n"))
    assert result.status in (64, 65) and "Line 2:" in result.err
    generation = apply(appliance, RULES)[1]
    result = appliance.ipfw("apply", "--if-gen", str(generation - 1),
                            write(appliance, "shut.rules", SHUT))
    assert result.status == 69
    assert f"generation {generation} runs, not generation {generation - 1}" in result.err
    assert appliance.must("-aS", "list") == rules
    apply(appliance, SHUT, "--if-gen", str(generation))
    assert "deny icmp" in appliance.must("list")


@pytest.mark.parametrize("fate", ["alive", "killed", "stopped"])
def test_goes_back_by_itself(own_bed, own_appliance, fate):
    """The data plane's clock decides, whatever has become of the control plane."""
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    assert own_bed.a.ping(own_bed.b.ipv4, 2)
    counted = appliance.counters(100)[0]
    rules = appliance.must("-S", "list")
    apply(appliance, SHUT, "--confirm", "3s")
    assert not own_bed.a.ping(own_bed.b.ipv4, 1)
    if fate == "killed":
        appliance.stop_controlplane(signal.SIGKILL)
    elif fate == "stopped":
        os.kill(appliance.controlplane.pid, signal.SIGSTOP)
    else:
        result = appliance.ipfw("add", "500", "count", "ip", "from", "any", "to", "any")
        assert result.status == 69 and "waits for its confirmation" in result.err
    assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, 1), 10)
    if fate == "killed":
        appliance.start_controlplane()
    elif fate == "stopped":
        os.kill(appliance.controlplane.pid, signal.SIGCONT)
    assert eventually(lambda: appliance.ipfw("-S", "list").out == rules, 10)
    assert appliance.counters(100)[0] >= counted + 2
    assert "was not confirmed" in appliance.output("controlplane")
    # And life goes on; the slots of what had gone were given to nobody meanwhile.
    appliance.must("add", "500", "count", "ip", "from", "any", "to", "any")
    assert appliance.counters(100)[0] >= counted + 2


def test_a_restarted_data_plane_gets_what_was_confirmed(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    rules = appliance.must("-S", "list")
    apply(appliance, SHUT, "--confirm", "1m")
    appliance.stop_dataplane(signal.SIGKILL)
    appliance.start_dataplane()
    assert eventually(lambda: connected(appliance), 20)
    assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, 1), 10)
    assert appliance.must("-S", "list") == rules
    appliance.must("add", "500", "count", "ip", "from", "any", "to", "any")


def test_confirm_and_rollback_end_the_wait(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    rules = appliance.must("-S", "list")
    assert appliance.ipfw("confirm").status == 69
    apply(appliance, SHUT, "--confirm", "1m")
    assert "go back in" in appliance.ipfw("list").err
    appliance.must("rollback")
    assert appliance.must("-S", "list") == rules
    assert own_bed.a.ping(own_bed.b.ipv4, 1)
    generation = apply(appliance, SHUT, "--confirm", "2s")[1]
    assert f"generation {generation} is confirmed" in appliance.must("confirm")
    time.sleep(3)
    assert "deny icmp" in appliance.must("list")
    assert not own_bed.a.ping(own_bed.b.ipv4, 1)


def test_tables_do_not_return_halfway(own_appliance):
    appliance = own_appliance
    appliance.start()
    result = appliance.ipfw("apply", "--confirm", "1m", write(
        appliance, "tables.rules", "table 1 create\ntable 1 add 10.0.0.0/8\n"
        "add 100 deny ip from table(1) to any\n"))
    assert result.status == 69 and "tables" in result.err
    assert "deny ip from table" not in appliance.must("list")
    # Contents may change while a ruleset waits.
    appliance.must("table", "2", "create")
    apply(appliance, "add 100 deny ip from table(2) to any\n", "--confirm", "1m")
    appliance.must("table", "2", "add", "10.9.0.0/16")
    assert appliance.ipfw("table", "2", "destroy").status == 69
    appliance.must("rollback")
    assert "10.9.0.0/16" in appliance.must("table", "2", "list")
