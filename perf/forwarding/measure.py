"""Packets a second through the whole data plane, one core: Sluice's bridge beside dpdk-testpmd and
DPDK's l3fwd in ACL mode. No network card and no kernel is in the way: net_pcap repeats real packets
from memory, net_null (or a net_pcap without a file to write) takes them.

Rates are packets received for each second of CPU time that the forwarding thread has had: all three
poll without a pause and are never out of work, so on a machine with other work this is what they would
do with a CPU of their own."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from figures import Figure, log, origin, table, take_precedence, write_part  # noqa: E402
from huge_pages import HugePages  # noqa: E402
from programs import Lab, L3fwd, Sluice, TestPmd, build_l3fwd, eventually  # noqa: E402
import rules as rule_sets  # noqa: E402
import traffic  # noqa: E402

ROUNDS = 5
SECONDS = 1.5
PACKETS = 4096
METHODS = ("avx2", "avx512x32")
SETTLE = 0.3
# Two programs that drop and send differently do not have the same rules.
TOLERANCE = 0.01
KEEP_STATE = "keep-state"


@dataclass
class Row:
    name: str
    rules: list
    states: int = 0              # that shall be there when it is measured
    without_acl: bool = False
    hands_over: bool = False     # and may lose packets that way: what is sent counts
    rates: dict = field(default_factory=dict)   # by program

    def note(self, program, rate):
        packets = rate.received * (rate.share_sent if self.hands_over else 1)
        log(f"    {self.name}, {program}: {packets / 1e6:.2f} Mpps")
        self.rates.setdefault(program, []).append(packets)

    def figure(self, program):
        return Figure([rate / 1e6 for rate in self.rates[program]])


@dataclass
class Group:
    """Rows with the same ports and packets."""

    name: str
    lab: Lab
    rows: list
    testpmd: list = field(default_factory=list)


class StatefulSluice(Sluice):
    """With a rule that makes states in front of the last one, and one that looks for them before all
    others."""

    def __init__(self, lab, states):
        super().__init__(lab, states=max(states * 3 // 2, 16384))
        self.appliance.must("-q", "sysctl", f"net.inet.ip.fw.dyn_max={max(states * 3 // 2, 16384)}")

    def load_with_states(self, row):
        text = rule_sets.to_ipfw(row.rules[:-1])
        self.appliance.load("add 10 check-state\n" + text +
                            "add 65000 allow ip from any to any keep-state\n")
        if not eventually(lambda: self.states() >= row.states, 30):
            raise SystemExit(f"perf: {row.name}: there are {self.states()} states, "
                             f"{row.states} were expected")

    def states(self):
        return self.appliance.dataplane_counters()["states"]


# ---- What is measured ----------------------------------------------------------------------------


def one_way(capture):
    """Packets of `capture` come in by the first port and leave by the second."""
    queues = ",".join(f"rx_pcap={path}" for path in capture)
    return [f"net_pcap0,{queues},infinite_rx=1", "net_null0,no-rx=1"]


def own_rules():
    yield Row("no rules", [])
    for count in (10, 100, 1000, 10000):
        yield Row(f"lin, {count:,}", rule_sets.linear(count))
    for count in (10, 100, 1000, 10000):
        yield Row(f"mix, {count:,}", rule_sets.mixed(count))


def stateless_groups(lab, folder):
    capture = folder / "plain.pcap"
    traffic.write_capture(capture, traffic.plain(PACKETS))
    yield Group("rules of our own", replace(lab, devices=one_way([capture])), list(own_rules()))
    for name in ("fw1_1k", "fw1_10k", "acl1_1k", "acl1_10k"):
        rules = rule_sets.classbench(name)
        if rules is None:
            log(f"  no {name} beside the checkout: left out")
            continue
        capture = folder / f"{name}.pcap"
        traffic.write_capture(capture, traffic.inside(rules, PACKETS))
        yield Group(name, replace(lab, devices=one_way([capture])),
                    [Row(f"{name}, {len(rules):,}", rules)])


def state_group(lab, folder, flows, ports, both_ways):
    """The flows are shared out over pairs of ports; where packets go both ways, the one port of a
    pair sees the clients and the other the servers."""
    pairs = ports // 2
    each = flows // pairs if both_ways else flows // ports
    devices = []
    for port in range(ports):
        first = (port // 2 if both_ways else port) * each
        backwards = both_ways and port % 2 == 1
        capture = folder / f"flows-{flows}-{port}.pcap"
        traffic.write_capture(capture, (traffic.flow(number, backwards)
                                        for number in range(first, first + each)))
        devices.append(f"net_pcap{port},rx_pcap={capture},infinite_rx=1")
    buffers = max(each + 1024, 8192)
    # A buffer has 2.4 KiB, and a port some 3,000 beside those that hold the packets.
    memory = ports * (buffers + 3200) * 2450 // (1 << 20) + 128
    ways = "" if both_ways else ", one way"
    known = each * (pairs if both_ways else ports)
    rules = rule_sets.mixed(1000)
    return Group(f"{flows:,} flows", replace(lab, devices=devices, buffers=buffers,
                                             memory_mb=max(memory, lab.memory_mb)),
                 [Row(f"{flows:,} flows{ways}, stateless, no rules", [], without_acl=ports > 2),
                  Row(f"{flows:,} flows{ways}, {KEEP_STATE}, mix, 1,000", rules, states=known,
                      without_acl=ports > 2)])


def two_workers_groups(lab, folder):
    """Each port has two queues, one for each worker. net_pcap does not bring packets to the worker
    that owns their flow: with states half of them is handed over."""
    captures = [folder / "plain-a.pcap", folder / "plain-b.pcap"]
    frames = traffic.plain(PACKETS)
    for capture, part in zip(captures, (frames[::2], frames[1::2])):
        traffic.write_capture(capture, part)
    yield Group("two workers", replace(lab, devices=one_way(captures), workers=2),
                [Row(f"two workers, {name}", rules, without_acl=True)
                 for name, rules in (("no rules", []), ("mix, 100", rule_sets.mixed(100)),
                                     ("mix, 10,000", rule_sets.mixed(10000)))])
    flows = 1000
    devices = []
    for port in range(2):
        queues = []
        for queue in range(2):
            queues.append(folder / f"two-workers-{port}-{queue}.pcap")
            traffic.write_capture(queues[-1], [traffic.flow(number, port == 1)
                                               for number in range(queue, flows, 2)])
        devices.append(f"net_pcap{port}," + ",".join(f"rx_pcap={path}" for path in queues)
                       + ",infinite_rx=1")
    yield Group("two workers, flows", replace(lab, devices=devices, workers=2),
                [Row(f"two workers, {flows:,} flows, {KEEP_STATE}, mix, 1,000",
                     rule_sets.mixed(1000), states=flows, without_acl=True, hands_over=True)])


def groups(lab, folder, only, biggest):
    found = list(stateless_groups(lab, folder))
    for flows, ports, both_ways in ((1000, 2, True), (100_000, 8, True), (1_000_000, 32, False)):
        if flows <= biggest:
            found.append(state_group(lab, folder, flows, ports, both_ways))
    if os.cpu_count() > 1:
        found += two_workers_groups(lab, folder)
    return [group for group in found if only in group.name]


# ---- Measuring -----------------------------------------------------------------------------------


def measured(program, seconds):
    time.sleep(SETTLE)
    return program.rate(seconds)


def run_sluice(group, seconds):
    """{row name: Rate}"""
    rates = {}
    states = max(row.states for row in group.rows)
    program = StatefulSluice(group.lab, states) if states else Sluice(group.lab)
    try:
        for row in group.rows:
            if row.states:
                program.load_with_states(row)
            else:
                program.load(row.rules)
            rates[row.name] = measured(program, seconds)
            row.note("Sluice", rates[row.name])
            lost = 1 - rates[row.name].share_sent
            if row.states and not row.hands_over and lost > TOLERANCE:
                raise SystemExit(f"perf: {row.name}: packets of known flows are dropped")
    finally:
        program.close()
    return rates


def run_testpmd(group, seconds):
    program = TestPmd(group.lab)
    try:
        rate = measured(program, seconds)
    finally:
        program.close()
    group.testpmd.append(rate.received)
    log(f"    testpmd: {rate.received / 1e6:.2f} Mpps")


def run_l3fwd(group, l3fwd, row, ours, seconds):
    for method in METHODS:
        program = L3fwd(group.lab, l3fwd, row.rules, method)
        try:
            rate = measured(program, seconds)
        finally:
            program.close()
        row.note(f"l3fwd {method}", rate)
        if abs(rate.share_sent - ours.share_sent) > TOLERANCE:
            raise SystemExit(f"perf: {row.name}: l3fwd sends {rate.share_sent:.1%} of the packets, "
                             f"Sluice {ours.share_sent:.1%}: they do not have the same rules")


def run_round(every, l3fwd, seconds):
    for group in every:
        log(f"  {group.name}")
        run_testpmd(group, seconds)
        ours = run_sluice(group, seconds)
        for row in group.rows:
            if l3fwd is not None and not row.without_acl:
                run_l3fwd(group, l3fwd, row, ours[row.name], seconds)


# ---- The report ----------------------------------------------------------------------------------


def rate_rows(every):
    for group in every:
        base = Figure([rate / 1e6 for rate in group.testpmd])
        for row in group.rows:
            ours = row.figure("Sluice")
            peers = [(row.figure(name), name) for name in row.rates if name != "Sluice"]
            best, name = max(peers, key=lambda peer: peer[0].median, default=(None, ""))
            yield (row.name, ours.text("{:.2f}"), base.text("{:.2f}"),
                   f"{ours.median / base.median:.2f}×", best.text("{:.2f}") if best else "–",
                   name.removeprefix("l3fwd ") or "–",
                   f"{ours.median / best.median:.2f}×" if best else "–")


def section(where, every, rounds, seconds, pages):
    memory = "huge pages" if pages else "ordinary pages (there were no huge ones)"
    return f"""## Forwarding without a kernel

{where} 60-byte frames from memory
(`net_pcap`, infinite_rx) to nowhere (`net_null`), {memory}, one thread bound to a CPU, Mpps for each
second of its CPU time; {seconds} s a window, the programs take turns, {rounds} times; medians, in
brackets the least and the greatest. testpmd swaps the hardware addresses. l3fwd is DPDK's example in ACL
mode, the better of {" and ".join(METHODS)}; it routes. `lin`: rules that nothing matches; `mix`:
rules of five fields in the networks of the traffic, some packets are denied; fw1 and acl1:
ClassBench's, packets that match any of their rules. What share of the packets is let through was
compared between Sluice and l3fwd. The packets come from {PACKETS:,} in memory; with flows it is one for
each flow and direction, spread over as many ports as are needed, so that from 100,000 flows on reading
them from memory is a part of the cost: the row without rules shows it. `{KEEP_STATE}`: a check-state rule,
then 1,000 rules, then one that made the states; all packets belong to known flows.
Two workers: both together; their packets are not spread by flow, so with states half of them is handed
over to the other worker, and what then gets lost is not counted.

{table(("rules", "Sluice", "testpmd macswap", "Sluice ÷ testpmd", "l3fwd-acl", "method",
        "Sluice ÷ l3fwd"), rate_rows(every))}"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", default="", help="groups whose name has this in it")
    parser.add_argument("--flows", type=int, default=1_000_000, help="at most so many")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    options.build = options.build.resolve()
    where = origin("perf/run forwarding")
    take_precedence()
    l3fwd = build_l3fwd(options.build / "l3fwd")
    if l3fwd is None:
        log("perf: the package dpdk-doc is not installed: l3fwd is left out")
    cpu = os.cpu_count() - 1
    folder = Path(tempfile.mkdtemp(prefix="sluice-perf-"))
    try:
        every = groups(Lab(options.build, cpu, 0, False), folder, options.only, options.flows)
        needed = max(group.lab.memory_mb for group in every)
        # testpmd and l3fwd have buffers and tables beside those.
        with HugePages(needed + 512) as pages:
            # Where pages are small, a buffer fills one of 4 KiB.
            for group in every:
                group.lab = replace(group.lab, huge_pages=pages.enough,
                                    memory_mb=group.lab.memory_mb * (1 if pages.enough else 2))
            log("forwarding" + ("" if pages.enough else ", without huge pages"))
            for number in range(options.rounds):
                log(f"  round {number + 1} of {options.rounds}")
                run_round(every, l3fwd, options.seconds)
        write_part(options.output, "forwarding",
                   section(where, every, options.rounds, options.seconds, pages.enough))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    log(f"written: {options.output}")


main()
