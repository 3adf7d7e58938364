"""`ipfw trace --rules`: the way of a packet through a rule file, without a daemon."""

import json
import subprocess

import pytest

RULES = """
table bad create type addr
table bad add 1.2.3.0/24 7
add 50 check-state
add 100 deny log ip from table(bad) to any dst-port 22
add 200 count tcp from any to 10.0.0.0/8
add 300 prob 0.5 skipto 500 tcp from any to any in recv em0
add 400 allow tcp from 1.2.3.4 to { 6.7.8.9 or me } 80 setup keep-state
add 500 unreach port ip from not 9.9.9.9 to any
"""
PACKET = "in em0 tcp 1.2.3.4:5 > 6.7.8.9:80 S"


@pytest.fixture
def trace(build, tmp_path):
    (tmp_path / "rules").write_text(RULES)
    (tmp_path / "env").write_text("if em0 10.0.0.1/24\nif em1 10.1.0.1/24\n")

    def run(*arguments):
        command = [build / "controlplane/cli/ipfw", "trace", "--rules", tmp_path / "rules",
                   "--env", tmp_path / "env"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30)
    return run


def outcomes(text):
    """[(rule number, what is said of it)]"""
    lines = text.splitlines()
    return [(int(lines[i][:5]), lines[i + 1].strip()) for i in range(len(lines) - 1)
            if lines[i][:5].isdigit()]


def test_tells_each_rule_and_the_first_test_that_fails(trace):
    done = trace("--prob-as", "skip", PACKET)
    assert done.returncode == 0, done.stderr
    assert outcomes(done.stdout) == [
        (50, "no state"),
        (100, "no match: dst-port 22"),
        (200, "no match: to 10.0.0.0/8"),
        (300, "no match: prob 0.500000; by chance (--prob-as)"),
        (400, "match; would make a state")]
    assert done.stdout.splitlines()[-1] == "verdict: accept, by rule 400"


def test_tells_both_ways_where_chance_decides(trace):
    text = trace(PACKET).stdout
    assert "-- if `prob` matches --" in text and "-- if it does not --" in text
    assert "verdict: unreach 3, by rule 500" in text
    assert "verdict: accept, by rule 400" in text
    assert "goes on at rule 500" not in trace("--prob-as", "skip", PACKET).stdout


def test_names_the_table_entry(trace):
    text = trace("in em1 udp 1.2.3.9:5 > 6.7.8.9:22").stdout
    assert outcomes(text)[-1] == (100, "match; found in table(bad), value 7; logs")
    assert text.splitlines()[-1] == "verdict: deny, by rule 100"


@pytest.mark.parametrize("arguments, status, words", [
    (["in em0 tcp 1.2.3.4:5 >"], 64, "the packet ends here"),
    (["in em9 tcp 1.2.3.4:5 > 6.7.8.9:80"], 65, "no interface em9"),
    (["in em0 tcp 1.2.3.4:99999 > 6.7.8.9:80"], 65, "a port from 0 to 65535"),
    (["--prob-as", "maybe", PACKET], 64, "--prob-as maybe"),
    ([], 64, "a packet is missing")])
def test_refuses_in_words(trace, arguments, status, words):
    done = trace(*arguments)
    assert done.returncode == status and words in done.stderr


def test_asks_the_running_rules_and_leaves_no_trace(stateful):
    """The verdict is told before the packets come, and again when they have made a state."""
    bed, appliance = stateful
    server = bed.b.listen(8080, "page\n")
    try:
        appliance.load("add 50 check-state\n"
                       f"add 100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} 8080 setup keep-state\n"
                       "add 200 prob 0.5 count log udp from any to any\n"
                       "add 300 deny log ip from any to any\n")
        port = appliance.must("trace", f"tcp {bed.a.ipv4}:5 > {bed.b.ipv4}:8080")
        assert outcomes(port) == [(50, "no state"), (100, "match; would make a state")]
        answer = f"tcp {bed.b.ipv4}:8080 > {bed.a.ipv4}:5 SA"
        assert outcomes(appliance.must("trace", answer))[-1] == (300, "match; logs")
        both = appliance.must("trace", f"udp {bed.a.ipv4}:1 > {bed.b.ipv4}:2")
        assert "-- if it does not --" in both and both.count("verdict: deny, by rule 300") == 2
        assert appliance.state_count() == 0
        assert [appliance.counters(rule)[0] for rule in (100, 200, 300)] == [0, 0, 0]
        assert bed.a.curl(f"http://{bed.b.ipv4}:8080/").stdout == "page\n"
        flow = appliance.must("state", "list").split()
        port = flow[flow.index("tcp") + 2]
        text = appliance.must("trace", f"tcp {bed.b.ipv4}:8080 > {bed.a.ipv4}:{port} A")
        assert outcomes(text) == [(50, "hits the state that rule 100 made, against its direction: "
                                       "its action is carried out")]
        assert "verdict: accept, by rule 100" in text and "warning" not in text
        refused = appliance.ipfw("trace", "in nowhere0 tcp 1.1.1.1:1 > 2.2.2.2:2")
        assert refused.status == 69 and "no interface nowhere0" in refused.err
    finally:
        server.kill()


def test_json(bed, appliance):
    """The same words, for programs: of the running rules and of a file."""
    rules = "add 100 deny tcp from any to any 23\nadd 200 prob 0.5 allow ip from any to any\n"
    appliance.load(rules)
    packet = f"in em0 icmp {bed.a.ipv4} > {bed.b.ipv4}"
    for arguments in ([packet], ["--rules", appliance.rule_file(rules), packet]):
        text = appliance.must("trace", *arguments)
        answer = json.loads(appliance.must("trace", *arguments, "--json"))
        assert answer["schema"] == "sluice/trace/1"
        first, second = answer["traces"]
        assert (first["if"], second["if"]) == ("match", "skip")
        assert [step["number"] for step in second["steps"]] == [100, 200, 65535]
        assert first["verdict"].startswith("accept, by rule 200")
        for step in first["steps"] + second["steps"]:
            assert step["rule"] in text and step["outcome"] in text
    assert appliance.ipfw("trace", "nonsense", "--json").out == ""
