"""The `ipfw` command against running daemons: rule files, messages, exit statuses."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from lab.network import eventually

SOURCE = Path(__file__).resolve().parents[2]
TWO_RULES = "add 100 allow icmp from any to any\nadd 200 deny ip from any to any\n"
DEFAULT = "65535 deny ip from any to any\n"


# ---- rule files ----------------------------------------------------------------------------------


def test_error_in_line_3_changes_nothing(appliance):
    """The old tool would have left two rules behind."""
    appliance.load(TWO_RULES)
    before = appliance.must("-a", "list")
    bad = appliance.rule_file("add 1000 allow tcp from any to any\n"
                              "add 1100 allow udp from any to any\n"
                              "add 1200 allow tcp from any to any 70000\n"
                              "add 1300 deny ip from any to any\n")
    done = appliance.ipfw(bad)
    assert done.status == 65
    assert "Line 3" in done.err and "70000" in done.err
    assert appliance.must("-a", "list") == before


def test_rule_that_is_refused_by_the_appliance_changes_nothing(appliance):
    appliance.load(TWO_RULES)
    before = appliance.must("list")
    bad = appliance.rule_file("-f flush\nadd 1000 allow tcp from any to any\n"
                              "add 1100 allow tcp from any to any jail 7\n")
    done = appliance.ipfw(bad)
    assert done.status == 69
    assert "Line 3" in done.err and "there are no jails on Linux" in done.err
    assert appliance.must("list") == before


def test_file_echoes_what_it_adds(appliance):
    done = appliance.ipfw(appliance.rule_file("# a comment\n\n"
                                              "add pass all from any to any 80, 443 in # trailing\n"
                                              "add 300 count ip from 10.0.0.9/8 to any\n"))
    assert done.status == 0
    assert done.out == ("00100 allow ip from any to any 80,443 in\n"
                        "00300 count ip from 10.0.0.0/8 to any\n")


def test_preprocessor(appliance):
    rules = appliance.rule_file("add 100 allow tcp from any to any PORT\n")
    done = appliance.ipfw("-p", "/bin/sed", "-es/PORT/8443/", rules)
    assert done.status == 0, done.text
    assert "00100 allow tcp from any to any 8443\n" in appliance.must("list")
    assert appliance.ipfw("-p", "/bin/false", rules).status == 69


def test_numbers_and_order(appliance):
    for words in ("allow ip from 10.0.0.1 to any", "allow ip from 10.0.0.2 to any",
                  "150 allow ip from 10.0.0.3 to any", "100 allow ip from 10.0.0.4 to any"):
        assert appliance.ipfw("add", *words.split()).status == 0
    assert appliance.must("list") == ("00100 allow ip from 10.0.0.1 to any\n"
                                      "00100 allow ip from 10.0.0.4 to any\n"
                                      "00150 allow ip from 10.0.0.3 to any\n"
                                      "00200 allow ip from 10.0.0.2 to any\n" + DEFAULT)
    done = appliance.ipfw("delete", 100, 700, "150-160")
    assert done.status == 69 and "rule 700 not found" in done.err
    assert appliance.must("list") == "00200 allow ip from 10.0.0.2 to any\n" + DEFAULT


def test_flush_asks_on_a_terminal(appliance):
    appliance.load(TWO_RULES)
    done = appliance.ipfw("flush", stdin="maybe\nn\n", terminal=True)
    assert done.status == 0
    assert done.text.count("Are you sure? [yn] ") == 2
    assert len(appliance.must("list").splitlines()) == 3
    done = appliance.ipfw("flush", stdin="y\n", terminal=True)
    assert done.status == 0 and "Flushed all rules." in done.out
    assert appliance.must("list") == DEFAULT


def test_flush_does_not_ask_elsewhere(appliance):
    appliance.load(TWO_RULES)
    done = appliance.ipfw("flush")
    assert (done.status, done.out) == (0, "Flushed all rules.\n")
    appliance.load(TWO_RULES)
    done = appliance.ipfw("-q", "flush", terminal=True)
    assert (done.status, done.text) == (0, "")
    assert appliance.must("list") == DEFAULT


# ---- a daemon is missing -------------------------------------------------------------------------


def test_default_deny_before_the_first_ruleset(own_bed, own_appliance):
    """The data plane alone passes nothing; with a control plane it denies IP and lets ARP pass."""
    own_appliance.start_dataplane()
    assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
    assert own_appliance.drops()["no_ruleset"] > 0
    own_appliance.start_controlplane()
    own_appliance.await_connection()
    assert own_appliance.must("list") == DEFAULT
    own_bed.forget_neighbours()
    assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
    assert own_bed.b.mac in own_bed.a.ip("neighbour", "show", own_bed.b.ipv4)
    assert own_appliance.counters(65535)[0] > 0


def test_commands_say_which_daemon_is_missing(own_appliance):
    rule = ("add", "100", "allow", "ip", "from", "any", "to", "any")
    for words in (rule, ("list",), ("sysctl", "net.inet.ip.fw.verbose")):
        done = own_appliance.ipfw(*words)
        assert done.status == 69
        assert "sluice-controlplane is not running" in done.err
        assert str(own_appliance.control_socket) in done.err
    own_appliance.start_controlplane()
    done = own_appliance.ipfw(*rule)
    assert done.status == 69 and "sluice-dataplane is not running" in done.err
    assert own_appliance.ipfw("list").out == DEFAULT
    # What needs no daemon works without.
    own_appliance.stop_controlplane()
    done = own_appliance.ipfw("-n", *rule)
    assert (done.status, done.out) == (0, "00100 allow ip from any to any\n")


def test_settings_are_checked(own_appliance):
    text = own_appliance.config.read_text()
    own_appliance.config.write_text(text.replace("workers = 1", "wokers = 1"))
    for program in (own_appliance.dataplane_program, own_appliance.controlplane_program):
        done = own_appliance.namespace.run(str(program), "--config", str(own_appliance.config))
        assert done.returncode in (65, 78), done.stderr
        assert 'sluice.toml:4:1: unknown key "wokers"' in done.stderr


def test_port_that_is_not_there(own_appliance):
    text = own_appliance.config.read_text()
    own_appliance.config.write_text(text.replace("iface=em1", "iface=em7"))
    done = own_appliance.namespace.run(str(own_appliance.dataplane_program), "--config",
                                       str(own_appliance.config))
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert "no interface em7" in done.stderr


# ---- cost ----------------------------------------------------------------------------------------


def test_show_cost_follows_the_running_ruleset(own_appliance):
    own_appliance.start()
    own_appliance.load("".join(f"add deny tcp from 10.0.{i}.0/24 to any 80\n" for i in range(200)) +
                       "add deny tcp from 2001:db8::/32 to any\n")
    table = own_appliance.must("show", "--cost")
    assert [line.split()[0] for line in table.splitlines()[:3]] == ["packets", "IPv4", "IPv6"]
    assert "202 rules, " in table and " built in " in table
    cost = json.loads(own_appliance.must("show", "--cost", "--json"))
    assert cost["rules"] == 202
    assert (cost["ipv4"]["boxes"], cost["ipv6"]["boxes"]) == (201, 2)
    assert cost["ipv4"]["worst_nodes"] >= 1 and cost["ipv4"]["worst_blocks"] >= 1
    assert cost["bytes"] >= cost["ipv4"]["bytes"] > 0
    own_appliance.must("-q", "add", "deny", "udp", "from", "10.1.0.0/16", "to", "any")
    assert json.loads(own_appliance.must("show", "--cost", "--json"))["ipv4"]["boxes"] == 202
    before = own_appliance.must("show", "--cost")

    # The data plane tells a control plane that comes anew.
    own_appliance.stop_controlplane(signal.SIGKILL)
    own_appliance.start_controlplane()
    assert eventually(lambda: own_appliance.ipfw("show", "--cost").out == before)

    own_appliance.stop_dataplane()
    assert eventually(lambda: own_appliance.ipfw("show", "--cost").status == 69)
    assert "sluice-dataplane is not running" in own_appliance.ipfw("show", "--cost").err


# ---- exit statuses -------------------------------------------------------------------------------

EXIT_CODES = Path(__file__).parents[1] / "unit/language/data/exit_codes.tsv"

# Rows of the table where we differ, and why.
DIFFERENT = {
    "delete 12345 (stdin not a tty, or -f)": (69, "-f was not typed"),
    "add allow ip from not any to any": (65, "it would mean something else than it says"),
    "add allow ip from any to any { in": (64, "the brace is not closed"),
}


def exit_codes():
    for line in EXIT_CODES.read_text().splitlines():
        if line and not line.startswith("#"):
            command, status = line.split("\t")[:2]
            yield pytest.param(command, DIFFERENT.get(command, (int(status),))[0], id=command)


@pytest.mark.parametrize("command,status", exit_codes())
def test_exit_status(appliance, command, status):
    words, terminal = command, False
    if words.startswith("("):
        words = ""
    if words.startswith("delete -q:"):
        words = "-q delete 12345"
    if " (" in words:
        terminal = "is a tty" in words
        words = words[:words.index(" (")]
    done = appliance.ipfw(*words.split(), terminal=terminal)
    assert done.status == status, done.text
    if status not in (0,):
        assert done.text.strip()


def test_completion_in_bash(build):
    """As readline calls it when the tab key is pressed."""
    script = SOURCE / "deploy/completion/ipfw.bash"
    program = build / "controlplane/cli/ipfw"

    def complete(*words):
        done = subprocess.run(
            ["bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
             'complete -p ipfw >/dev/null || exit 1; _ipfw "$1"; printf "%s\\n" "${COMPREPLY[@]}"',
             "bash", str(script), str(program), *words], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    assert complete("roll") == ["rollback"]
    assert complete("table", "blocked", "sw") == ["swap"]
    assert complete("add", "100", "allow", "tcp", "from", "any", "to", "me", "keep") == ["keep-state"]
    assert complete("apply", "/etc/") == []
