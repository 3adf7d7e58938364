"""States while rules, states and daemons come and go."""

import json
import os
import signal
import threading
import time

from lab import Stream, Wire, echo_server, flow_frames, passes
from lab.network import eventually

PORT = 7000
FLOWS = int(os.environ.get("SLUICE_E2E_FLOWS", "100000"))
AT_ONCE = 256
RELOADS = 100


def ruleset(bed, *, with_connections=True):
    connections = f"add 100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} setup keep-state :web\n"
    return ("add 50 check-state :any\n" + (connections if with_connections else "") +
            "add 200 allow udp from 10.0.0.0/8 to any keep-state :flows\n"
            "add 300 deny ip from any to any\n")


def conversation(bed):
    return Stream(bed.a, bed.b.ipv4, PORT)


def test_connection_lives_over_reloads(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        made, before = appliance.dataplane_counters()["states_made"], stream.exchanges
        retransmits = bed.retransmits()
        # The file that has just been loaded, flush and all.
        path = appliance.directory / "loaded.rules"
        for _ in range(RELOADS):
            appliance.must("-q", path)
        # There was something to lose all the time.
        assert stream.exchanges > before + RELOADS // 4
        assert stream.goes_on()
        assert appliance.state_count() == 1
        assert appliance.dataplane_counters()["states_made"] == made
        stream.finish()
        assert bed.retransmits() == retransmits
    assert stream.error is None
    assert stream.worst < 2


def test_deleted_rule_takes_its_states_along(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        denied = appliance.counters(300)[0]
        appliance.must("-q", "delete", 100)
        assert appliance.state_count() == 0
        time.sleep(0.3)  # an answer that had passed before may still be read
        assert not stream.goes_on(1, 1.0)
        assert appliance.counters(300)[0] > denied


def test_reload_without_the_rule_takes_its_states_along(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        appliance.load(ruleset(bed, with_connections=False))
        assert appliance.state_count() == 0
        time.sleep(0.3)
        assert not stream.goes_on(1, 1.0)


def test_apply_says_what_becomes_of_states(stateful):
    """The rule goes: its states live on with keep, and end without; with flush all end."""
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        without = appliance.rule_file(ruleset(bed, with_connections=False), "without.rules")
        whole = appliance.rule_file(ruleset(bed), "whole.rules")
        appliance.must("apply", "--states", "keep", without)
        assert "tcp" not in appliance.must("list")
        # They do not end with the next change either, nor with one of a sysctl.
        appliance.must("-q", "sysctl", "net.inet.ip.fw.autoinc_step=10")
        appliance.must("-q", "sysctl", "net.inet.ip.fw.autoinc_step=100")
        assert appliance.state_count() == 1
        assert stream.goes_on()
        appliance.must("apply", without)
        assert appliance.state_count() == 1, "kept once, kept until it ends"
        appliance.must("apply", "--states", "flush", whole)
        assert appliance.state_count() == 0


def test_states_are_judged_by_new_rules(stateful):
    """Of two connections one is allowed by the new rules, by another one of them, and flows on; the
    other is not, and dies at once."""
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    after = appliance.rule_file(
        f"add 100 allow tcp from {bed.a.ipv4} to {bed.b.ipv4} {PORT} setup keep-state :web\n"
        "add 300 deny ip from any to any\n", "after.rules")
    with echo_server(bed.b, PORT, bed.b.ipv4), echo_server(
            bed.b, PORT + 1, bed.b.ipv4), conversation(bed) as good, Stream(
                bed.a, bed.b.ipv4, PORT + 1) as bad, Wire(bed.a) as near, Wire(bed.b) as far:
        assert good.goes_on() and bad.goes_on()
        frames = flow_frames(3)
        assert passes(near, far, frames) == set(frames)
        made = appliance.dataplane_counters()["states_made"]
        told = appliance.must("apply", "--states", "recheck", after)
        assert told.endswith("States: 0 kept, 1 moved to other rules, 4 killed.\n")
        time.sleep(0.3)  # an answer that had passed before may still be read
        assert not bad.goes_on(1, 1.0)
        assert good.goes_on()
        listed = json.loads(appliance.must("state", "list", "--json"))["states"]
        assert [(state["rule"], state["name"], state["source_port"]) for state in listed] == [
            (100, "web", good.port)]
        counted = appliance.counters(100)[0]
        assert counted > 0
        # Nobody has made the connection again, and the same once more changes nothing.
        assert appliance.dataplane_counters()["states_made"] == made
        told = appliance.must("apply", "--states", "recheck", after)
        assert told.endswith("States: 1 kept, 0 moved to other rules, 0 killed.\n")
        assert good.goes_on()
        assert appliance.counters(100)[0] > counted
        refused = appliance.ipfw("apply", "--states", "recheck", "--confirm", "60s", after)
        assert refused.status == 69 and "do not go together" in refused.err
        good.finish()
    assert good.error is None and good.worst < 2


def test_kept_states(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_keep_states=1")
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        appliance.must("-q", "delete", 100)
        assert "00100" not in appliance.must("list")
        assert stream.goes_on(100)
        assert appliance.state_count() == 1
        assert appliance.ipfw("-q", "-f", "state", "kill").status == 0
        time.sleep(0.3)
        assert not stream.goes_on(1, 1.0)


def test_kill_and_json(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream, Wire(
            bed.a) as near, Wire(bed.b) as far:
        assert stream.goes_on()
        frames = flow_frames(3)
        assert passes(near, far, frames) == set(frames)
        listed = json.loads(appliance.must("state", "list", "--json"))["states"]
        assert [state["rule"] for state in listed] == [100, 200, 200, 200]
        first = listed[0]
        assert (first["protocol"], first["source"], first["source_port"], first["destination"],
                first["destination_port"], first["name"], first["answered"]) == (
                    "tcp", bed.a.ipv4, stream.port, bed.b.ipv4, PORT, "web", True)
        assert first["packets"] > 20
        assert [state["answered"] for state in listed[1:]] == [False] * 3
        for filters, count in ((("port", PORT), 1), (("proto", "udp"), 3), (("rule", 200), 3),
                               (("name", "web"), 1), (("host", bed.b.ipv4), 1),
                               (("host", "10.0.0.0/8"), 3), (("host", "10.0.0.0/31"), 2),
                               (("age", 3600), 0), (("rule", 200, "port", PORT), 0), ((), 4)):
            assert appliance.state_count(*filters) == count
            assert json.loads(appliance.must("state", "count", *filters, "--json"))["states"] == count
        nothing = appliance.ipfw("state", "kill", "host", "203.0.113.9")
        assert nothing.status == 69 and "no such states" in nothing.err
        killed = json.loads(appliance.must("state", "kill", "proto", "udp", "--json"))
        assert killed == {"schema": "sluice/state-count/1", "killed": 3}
        assert stream.goes_on()
        assert appliance.must("state", "kill", "host", bed.b.ipv4) == "1 state killed.\n"
        time.sleep(0.3)
        assert not stream.goes_on(1, 1.0)
        assert appliance.state_count() == 0


def test_control_plane_killed(stateful):
    bed, appliance = stateful
    appliance.load(ruleset(bed))
    with echo_server(bed.b, PORT, bed.b.ipv4), conversation(bed) as stream:
        assert stream.goes_on()
        rules = appliance.must("list")
        appliance.stop_controlplane(signal.SIGKILL)
        assert stream.goes_on(100)
        appliance.start_controlplane()
        appliance.await_connection()
        listing = appliance.must("-d", "list")
        assert listing.startswith(rules + "## Dynamic rules (1 144):\n00100 (")
        assert listing.endswith(f" STATE tcp {bed.a.ipv4} {stream.port} <-> {bed.b.ipv4} {PORT} "
                                ":web\n")
        assert stream.goes_on()
        # The new control plane knows that it is the same rule.
        appliance.load(ruleset(bed))
        assert stream.goes_on()
        stream.finish()
    assert stream.error is None and stream.worst < 2


class Reloads(threading.Thread):
    """Loads the file again and again; `done` says how often it has."""

    def __init__(self, appliance, count):
        super().__init__(daemon=True)
        self.appliance, self.count = appliance, count
        self.done, self.error = 0, None

    def run(self):
        try:
            while self.done < self.count:
                self.appliance.must("-q", self.appliance.directory / "loaded.rules")
                self.done += 1
        except RuntimeError as error:
            self.error = error


def test_many_flows_over_reloads(stateful):
    """The promise: 100,000 flows, 100 reloads, and every answer of every flow arrives."""
    bed, appliance = stateful
    appliance.must("-q", "sysctl", f"net.inet.ip.fw.dyn_max={FLOWS}")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_established_share=0")
    appliance.must("-q", "sysctl", "net.inet.ip.fw.dyn_udp_lifetime=600")
    appliance.load(ruleset(bed))
    with Wire(bed.a) as near, Wire(bed.b) as far:
        for first in range(0, FLOWS, AT_ONCE):
            frames = flow_frames(min(AT_ONCE, FLOWS - first), first=first)
            assert passes(near, far, frames) == set(frames)
        assert eventually(lambda: appliance.dataplane_counters()["states"] == FLOWS)
        before = appliance.dataplane_counters()
        reloads = Reloads(appliance, RELOADS)
        reloads.start()
        start, answered = time.monotonic(), 0
        near.drain()
        for first in range(0, FLOWS, AT_ONCE):
            frames = flow_frames(min(AT_ONCE, FLOWS - first), back=True, first=first)
            # Spread over all of the reloads.
            assert eventually(lambda: reloads.done * FLOWS >= (first - AT_ONCE) * RELOADS, 10)
            answered += len(passes(far, near, frames))
        reloads.join(30)
        assert (reloads.done, reloads.error) == (RELOADS, None)
        took = time.monotonic() - start
        assert answered == FLOWS
    print(f"\n{appliance.workers} workers: {answered} answers of {FLOWS} flows during {RELOADS} "
          f"reloads in {took:.1f} s")
    after = appliance.dataplane_counters()
    assert (after["states"], after["states_made"]) == (FLOWS, before["states_made"])
    assert after["generation"] >= before["generation"] + RELOADS
    assert after["unanswered_states"] == 0
    assert appliance.state_count() == FLOWS
    if appliance.workers == 2:
        assert after["handed_over"] > before["handed_over"]
    assert after["drops"] == before["drops"]
    # The packet that made a state and the answer.
    assert appliance.counters(200)[0] == 2 * FLOWS
    assert appliance.must("-q", "-f", "state", "kill", "name", "flows") == ""
    assert eventually(lambda: appliance.dataplane_counters()["states"] == 0)
