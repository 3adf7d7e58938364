"""The commands that help to understand rules: check, diff, lint, logsum,
unused."""

import json
import signal
import subprocess
import time

import pytest
from lab.network import eventually

RULES = """
add 100 allow tcp from any to any established
add 200 allow tcp from any to 192.0.2.1 80,443 in
add 300 set 2 count ip from any to any
add 400 deny ip from any to any
"""


@pytest.fixture
def ipfw(build, tmp_path):
    """Runs the command in a folder of its own, with no daemon to ask."""
    def run(*arguments, **files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return subprocess.run([build / "controlplane/cli/ipfw", *arguments], cwd=tmp_path,
                              capture_output=True, text=True, timeout=60,
                              env={"SLUICE_CONTROL_SOCKET": "/nonexistent/control.sock"})
    return run


def test_check_counts_rules_and_warns(ipfw):
    done = ipfw("check", "good", "odd", good=RULES, odd="add reset udp from any to any\n")
    assert done.returncode == 0
    assert done.stdout == "good: 4 rules\nodd: 1 rule, 1 warning\n"
    assert done.stderr.startswith("odd:1: warning: ")


def test_check_says_where(ipfw):
    done = ipfw("check", "bad", bad=RULES + "add allow tcp from any to any port 99999\n"
                                            "add queue 1 ip from any to any\n")
    assert done.returncode in (64, 65) and done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("bad:6:31: error: ")
    assert second.startswith("bad:7: error: not supported yet: ")


def test_check_in_json(ipfw):
    done = ipfw("check", "--json", "good", "bad", good=RULES, bad="add bogus\n")
    report = json.loads(done.stdout)
    assert report["schema"] == "sluice/check/1" and done.returncode == 65
    good, bad = report["files"]
    assert good == {"file": "good", "accepted": True, "status": 0, "rules": 4, "errors": [],
                    "warnings": []}
    assert not bad["accepted"] and bad["errors"][0]["line"] == 1 and bad["errors"][0]["column"] == 5


def test_check_ends_as_the_load_does(ipfw, appliance, tmp_path):
    """The same file, checked offline and given to the daemon: status and sentence."""
    for text in ("add 100 alow ip from any to any\n", "add 100 allow tcp from any to any 65536\n",
                 "add 100 pipe 1 ip from any to any\n", "add skipto :none ip from any to any\n",
                 "delete 700\n", "table t create type iface\nadd deny ip from table(t) to any\n",
                 "add 65535 allow ip from any to any\n", RULES):
        checked = ipfw("check", "rules", rules=text)
        loaded = appliance.ipfw(str(tmp_path / "rules"))
        assert checked.returncode == loaded.status, text
        if text != RULES:
            assert loaded.text.strip().split(": ")[-1] in checked.stderr, text
            assert loaded.status != 0
    assert checked.returncode == 0


def test_diff_by_rule(ipfw):
    new = RULES.replace("80,443", "443").replace("set 2 count", "set 3 count").replace(
        "add 400 deny ip from any to any", "add 350 deny udp from any to any")
    done = ipfw("diff", "old", "new", old=RULES, new=new)
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.splitlines() == [
        "~ 00200 allow tcp from any to 192.0.2.1 443 in"
        "  (was: allow tcp from any to 192.0.2.1 80,443 in)",
        "~ 00300 set 3 count ip from any to any  (was: set 2 count ip from any to any)",
        "+ 00350 deny udp from any to any",
        "- 00400 deny ip from any to any"]
    same = ipfw("diff", "old", "new", new="# the same\n" + RULES)
    assert (same.returncode, same.stdout) == (0, "")
    report = json.loads(ipfw("diff", "old", "new", "--json", new=new).stdout)
    assert report["schema"] == "sluice/diff/1"
    assert [(rule["change"], rule["number"]) for rule in report["rules"]] == [
        ("changed", 200), ("changed", 300), ("added", 350), ("removed", 400)]
    assert report["rules"][1]["previous_set"] == 2


@pytest.mark.parametrize("arguments, status, words", [
    (("old",), 64, "found 1 ruleset, expected two"),
    (("old", "missing"), 64, "missing: error: "),
    (("old", "bad"), 65, "bad:1:5: error: "),
    (("old", "running"), 69, "sluice-controlplane"),
    (("--context", "old", "old"), 64, '"--context"')])
def test_diff_refuses_in_words(ipfw, arguments, status, words):
    done = ipfw("diff", *arguments, old=RULES, bad="add bogus\n")
    assert done.returncode == status and words in done.stderr


def test_diff_with_the_running_rules(appliance, tmp_path):
    (tmp_path / "rules").write_text(RULES)
    appliance.must("-q", str(tmp_path / "rules"))
    assert appliance.ipfw("diff", str(tmp_path / "rules"), "running").status == 0
    appliance.must("-q", "add", "150", "deny", "ip", "from", "192.0.2.9", "to", "any")
    done = appliance.ipfw("diff", "running", str(tmp_path / "rules"))
    assert done.status == 1 and done.out == "- 00150 deny ip from 192.0.2.9 to any\n"


ODD = """
# lines count from 1
add 100 allow tcp from any to any 80
add 200 deny tcp from any to any 80 in
add 300 allow icmp from any 53 to any
add 400 deny tcp from any to 192.0.2.0/24 22
add 500 allow tcp from any to any 443
add 600 allow ip from any to any
"""


def test_lint_tells_what_payload_rules_cannot_see(ipfw):
    done = ipfw("lint", "blind", blind="""\
pattern flow create mode stream
pattern flow add "attack"
add 100 check-state
add 200 deny tcp from any to any payload flow
add 300 deny tcp from any to any 443 payload "attack"
add 400 allow tcp from any to any setup keep-state
""")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "blind:4: 00200 deny tcp from any to any payload flow",
        "    stream without states: packets of flows that have a state are decided before, so flow looks at "
        "packets by themselves, as in mode packet; see rule 100 (line 3): check-state :default",
        'blind:5: 00300 deny tcp from any to any 443 payload "attack"',
        "    encrypted payload: what goes over its ports is encrypted but for the first messages; tls-sni finds "
        "the name of the server in them",
        "2 findings in 4 rules"]


def test_lint_names_the_rules_that_are_the_reason(ipfw):
    done = ipfw("lint", "odd", odd=ODD)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "odd:4: 00200 deny tcp from any to any 80 in",
        "    shadowed: rule 100 (line 3) decides all its packets before: "
        "allow tcp from any to any 80",
        "odd:5: 00300 allow icmp from any 53 to any",
        "    never matching: ports are those of TCP, UDP, UDP-Lite and SCTP only",
        "odd:6: 00400 deny tcp from any to 192.0.2.0/24 22",
        "    missing IPv6 twin: rule 600 (line 8) lets the same through as IPv6: "
        "allow ip from any to any",
        "odd:7: 00500 allow tcp from any to any 443",
        "    redundant: without it rule 600 (line 8) does the same to its packets: "
        "allow ip from any to any",
        "4 findings in 6 rules"]
    report = json.loads(ipfw("lint", "--json", "odd").stdout)
    assert report["schema"] == "sluice/lint/1" and report["rules"] == 6
    shadowed = report["findings"][0]
    assert (shadowed["kind"], shadowed["number"], shadowed["line"]) == ("shadowed", 200, 4)
    assert [other["number"] for other in shadowed["others"]] == [100]


def test_lint_finds_nothing_in_a_plain_ruleset(ipfw):
    done = ipfw("lint", "rules", rules=RULES)
    assert (done.returncode, done.stdout) == (0, "0 findings in 4 rules\n")


def test_lint_tells_all_crossings_when_asked(ipfw):
    crossing = "add 100 deny ip from 10.0.0.0/8 to any\nadd 200 allow tcp from any to any 80\n"
    assert ipfw("lint", "rules", rules=crossing).returncode == 0
    done = ipfw("lint", "--all", "rules")
    assert done.returncode == 1 and "    contradicting: rule 100 (line 1) before it" in done.stdout


@pytest.mark.parametrize("arguments, status, words", [
    (("bad",), 65, "bad:1:5: error: "), (("missing",), 64, "missing"),
    (("--fast",), 64, '"--fast"'), (("odd", "odd"), 64, '"odd"'), ((), 69, "sluice-controlplane")])
def test_lint_refuses_in_words(ipfw, arguments, status, words):
    done = ipfw("lint", *arguments, odd=ODD, bad="add bogus\n")
    assert done.returncode == status and words in done.stderr


def test_lint_of_the_running_rules(appliance, tmp_path):
    """There the default rule is known, and rules of disabled sets are not there."""
    (tmp_path / "rules").write_text(ODD)
    appliance.must("-q", str(tmp_path / "rules"))
    appliance.must("-q", "add", "700", "set", "5", "deny", "ip", "from", "any", "to", "any")
    found = appliance.ipfw("lint").out
    assert "00700 deny ip from any to any\n    shadowed: rule 600 decides" in found
    appliance.must("-q", "set", "disable", "5")
    assert appliance.ipfw("lint", "running").out == found.replace(
        "00700 deny ip from any to any\n    shadowed: rule 600 decides all its packets before: "
        "allow ip from any to any\n    contradicting: rule 600 before it does the opposite to some "
        "of the same packets: allow ip from any to any\n", "").replace("6 findings", "4 findings")
    appliance.must("-q", "delete", "600")
    report = json.loads(appliance.ipfw("lint", "--json").out)
    assert report["source"] == "running"
    assert [(f["kind"], f["number"]) for f in report["findings"]] == [
        ("shadowed", 200), ("never matching", 300), ("redundant", 400)]
    assert report["findings"][2]["others"][0]["number"] == 65535


LOG = """\
Nov  9 21:12:18 mac kernel: ipfw: 2060 Accept TCP 1.2.3.4:119 10.0.0.1:54609 in via en0
Nov  9 21:12:18 mac kernel: ipfw: 2050 Accept TCP 10.0.0.1:54609 1.2.3.4:119 out via en0
Nov  9 21:12:19 mac sshd[12]: something else
Nov  9 21:12:20 mac kernel: ipfw: 12190 Deny TCP 5.6.7.8:4000 10.0.0.1:1023 in via en0
Nov  9 21:12:20 mac last message repeated 2 times
Nov  9 21:12:21 mac kernel: ipfw: 12190 Deny TCP 5.6.7.8:40
"""


def test_logsum_as_the_article_does(ipfw):
    done = ipfw("logsum", "system.log", **{"system.log": LOG})
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        "Accept",
        "               Inside Dir               Outside :       In :      Out",
        "-" * 69,
        "       10.0.0.1:54609 <->           1.2.3.4:119 :        1 :        1  TCP",
        "Sources", "         1  1.2.3.4", "         1  10.0.0.1",
        "Ports", "         1  119/TCP", "         1  54609/TCP",
        "",
        "Deny",
        "               Inside Dir               Outside :       In :      Out",
        "-" * 69,
        "        10.0.0.1:1023 <--          5.6.7.8:4000 :        3 :        0  TCP",
        "Sources", "         3  5.6.7.8",
        "Ports", "         3  1023/TCP",
        "",
        "6 lines: 2 accepted, 3 denied, 0 other packets; 1 unreadable, the first in line 6: "
        "Nov  9 21:12:21 mac kernel: ipfw: 12190 Deny TCP 5.6.7.8:40"]


def test_logsum_in_json_and_by_networks(ipfw):
    done = ipfw("logsum", "--json", "--inside", "1.2.3.0/24", "log", log=LOG)
    report = json.loads(done.stdout)
    assert report["schema"] == "sluice/logsum/1"
    assert (report["accepted"], report["denied"], report["unreadable"]) == (2, 3, 1)
    assert report["first_unreadable"]["line"] == 6
    accept = report["actions"][0]
    assert accept["flows"] == [{"inside": "1.2.3.4:119", "outside": "10.0.0.1:54609",
                                "protocol": "TCP", "in": 1, "out": 1}]
    for arguments, status in ((("--inside", "x"), 65), (("--top",), 64), (("--top", "x"), 65),
                              (("missing",), 64), (("log", "log"), 64)):
        assert ipfw("logsum", *arguments).returncode == status


def test_logsum_of_what_the_appliance_writes(bed, appliance):
    appliance.load("add 100 allow log icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4, 3)
    assert eventually(lambda: len(appliance.log_lines()) == 6)
    done = appliance.ipfw("logsum", "--json", "--inside", f"{bed.b.ipv4}/32", appliance.log_file)
    report = json.loads(done.out)
    assert (report["accepted"], report["unreadable"]) == (6, 0)
    assert report["actions"][0]["flows"] == [
        {"inside": bed.b.ipv4, "outside": bed.a.ipv4, "protocol": "ICMP", "in": 3, "out": 3}]


def test_logsum_tells_what_there_was_until_an_interrupt(build):
    """As of a live log, whose end nobody waits for."""
    pipe = subprocess.Popen([build / "controlplane/cli/ipfw", "logsum", "-"], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pipe.stdin.write(LOG)
    pipe.stdin.flush()
    time.sleep(1)
    pipe.send_signal(signal.SIGINT)
    out, _ = pipe.communicate(timeout=20)
    assert pipe.returncode == 0 and "6 lines: 2 accepted" in out


def test_unused_claims_no_more_than_is_known(bed, appliance):
    appliance.load("add 100 allow icmp from any to any icmptypes 8\n"
                   "add 200 deny tcp from any to any 9\n"
                   "add 300 allow ip from any to any\n")
    assert bed.a.ping(bed.b.ipv4)
    time.sleep(3.2)
    done = appliance.ipfw("unused", "--since", "1h")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "00200 deny tcp from any to any 9"
    assert lines[1].startswith("    has not matched, but counts only since 2")
    assert lines[-1].startswith("0 of 3 rules unused for 60 minutes; of ")
    report = json.loads(appliance.ipfw("unused", "--since", "2s", "--json").out)
    assert report["schema"] == "sluice/unused/1" and report["undecided"] == []
    # Other packets, of the kernels, meet rule 300 at times.
    used, never = [rule for rule in report["unused"] if rule["number"] != 300]
    assert (used["number"], never["number"]) == (100, 200)
    assert used["last_match_s"] <= report["since_s"] and never["last_match_s"] is None
    assert never["counted_since_s"] <= report["since_s"]
    # Whoever zeroes begins anew.
    appliance.must("-q", "zero")
    report = json.loads(appliance.ipfw("unused", "--since", "2s", "--json").out)
    assert report["unused"] == []
    assert {100, 200} <= {rule["number"] for rule in report["undecided"]}


def test_unused_needs_the_daemons(ipfw):
    assert ipfw("unused").returncode == 69
    assert ipfw("unused", "--since", "soon").returncode == 65


def test_a_full_disk_is_no_finding(build, tmp_path):
    """Exit status 1 with nothing said would mean that something was found."""
    rules = tmp_path / "rules"
    rules.write_text("add 100 allow ip from any to any\nadd 200 deny tcp from any to any 22\n")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(build / "controlplane/cli/ipfw"), "lint", str(rules)],
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 71 and "No space left" in done.stderr
