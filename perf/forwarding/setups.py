"""Ports, packets and rules that the forwarding benchmark and the profile run with."""

import os
import time
from dataclasses import dataclass, field, replace

from figures import Figure, log
from programs import Lab, Sluice, eventually
import rules as rule_sets
import traffic

PACKETS = 4096
SETTLE = 0.3
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
        """The states are made without the rules between, which a reload then puts in: a new flow has
        to pass all of them, and many of them would take longer than a state of UDP lives."""
        self._load([])
        if not eventually(lambda: self._settled(row), 60):
            raise SystemExit(f"perf: {row.name}: {row.states} states were expected; there are "
                             f"{self.states('states')}, and new ones are made")
        self._load(row.rules[:-1])

    def _load(self, between):
        self.appliance.load("add 10 check-state\n" + rule_sets.to_ipfw(between) +
                            "add 65000 allow ip from any to any keep-state\n")

    def _settled(self, row):
        made = self.states("states_made")
        time.sleep(0.5)
        return self.states("states") == row.states and self.states("states_made") == made

    def rate(self, seconds):
        """With nothing but packets of known flows. Where states are made, flows were new."""
        if not self.stateful:
            return super().rate(seconds)
        made = self.states("states_made")
        rate = super().rate(seconds)
        if (new := self.states("states_made") - made) != 0:
            raise SystemExit(f"perf: {new} states were made while known flows were measured")
        return rate

    def states(self, counter):
        return self.appliance.dataplane_counters()[counter]


def start_sluice(group):
    states = max(row.states for row in group.rows)
    return StatefulSluice(group.lab, states) if states else Sluice(group.lab)


def load(program, row):
    program.stateful = row.states != 0
    if row.states:
        program.load_with_states(row)
    else:
        program.load(row.rules)


def measured(program, seconds):
    time.sleep(SETTLE)
    return program.rate(seconds)


def with_pages(lab, huge_pages):
    """Where pages are small, a buffer fills one of 4 KiB."""
    return replace(lab, huge_pages=huge_pages,
                   memory_mb=lab.memory_mb * (1 if huge_pages else 2))


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
