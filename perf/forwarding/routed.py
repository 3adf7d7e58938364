"""What routing costs: Sluice's gateway beside its bridge and DPDK's l3fwd by longest prefix, with the
same ports and packets, in turns."""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
import rules as rule_sets  # noqa: E402
import traffic  # noqa: E402
from figures import Figure, log, origin, table, take_precedence, write_part  # noqa: E402
from huge_pages import HugePages  # noqa: E402
from programs import Gateway, L3fwd, Lab, Sluice, build_l3fwd  # noqa: E402
from setups import PACKETS, measured, one_way, with_pages  # noqa: E402

ROUNDS = 5
SECONDS = 1.5
FEWEST_SENT = 0.99


@dataclass
class Series:
    name: str
    lab: Lab
    rules: list              # of the second measurement of the gateway; none: only the first
    rates: dict = field(default_factory=dict)

    def note(self, program, rate):
        log(f"    {self.name}, {program}: {rate.received / 1e6:.2f} Mpps")
        if not self.rules and rate.share_sent < FEWEST_SENT:
            raise SystemExit(f"perf: {program} sends {rate.share_sent:.1%} of the packets only")
        self.rates.setdefault(program, []).append(1e9 / rate.received)

    def figure(self, program):
        return Figure(self.rates[program])


def run_round(every, l3fwd, seconds):
    for series in every:
        for name, start in (("bridge", lambda: Sluice(series.lab)),
                            ("gateway", lambda: Gateway(series.lab)),
                            ("l3fwd", lambda: L3fwd.by_prefix(series.lab, l3fwd))):
            if name == "l3fwd" and l3fwd is None:
                continue
            program = start()
            try:
                if name != "l3fwd":
                    program.load([])
                series.note(name, measured(program, seconds))
                if name == "gateway" and series.rules:
                    program.load(series.rules)
                    series.note("gateway with rules", measured(program, seconds))
            finally:
                program.close()


def section(where, every, rounds, seconds, pages):
    rows = []
    for series in every:
        gateway = series.figure("gateway")
        peer = series.figure("l3fwd") if "l3fwd" in series.rates else None
        ruled = series.figure("gateway with rules") if series.rules else None
        rows.append((series.name, series.figure("bridge").text("{:.1f}"), gateway.text("{:.1f}"),
                     peer.text("{:.1f}") if peer else "–",
                     f"{gateway.median / peer.median:.2f}×" if peer else "–",
                     f"{ruled.text('{:.1f}')}, {ruled.median - gateway.median:+.1f}" if ruled else "–"))
    memory = "huge pages" if pages else "ordinary pages (there were no huge ones)"
    return f"""## Routing

{where} 60-byte frames from memory to nowhere as under Forwarding, {memory}, one thread; nanoseconds of
its CPU time for a packet; {seconds} s a window, the programs take turns, {rounds} times; medians, in
brackets the least and the greatest. The gateway filters each packet twice, in and out, by an empty
ruleset; its kernel has one default route. l3fwd: longest prefix, without lists. Wanted: 1.3 times
l3fwd at most, and 60 ns at most for fw1 with 1,000 rules (twice, in and out).

{table(("packets", "bridge", "gateway", "l3fwd-lpm", "gateway ÷ l3fwd", "gateway with the rules"), rows)}"""


def every_series(lab, folder):
    capture = folder / "plain.pcap"
    traffic.write_capture(capture, traffic.routable(traffic.plain(PACKETS)))
    yield Series("two networks", replace(lab, devices=one_way([capture])), [])
    rules = rule_sets.classbench("fw1_1k")
    if rules is None:
        log("  no fw1_1k beside the checkout: left out")
        return
    capture = folder / "fw1.pcap"
    traffic.write_capture(capture, traffic.routable(traffic.inside(rules, PACKETS)))
    yield Series("of fw1_1k", replace(lab, devices=one_way([capture])), rules)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    options.build = options.build.resolve()
    where = origin("perf/run routing")
    take_precedence()
    l3fwd = build_l3fwd(options.build / "l3fwd")
    if l3fwd is None:
        log("perf: the package dpdk-doc is not installed: l3fwd is left out")
    folder = Path(tempfile.mkdtemp(prefix="sluice-perf-"))
    try:
        every = list(every_series(Lab(options.build, os.cpu_count() - 1, 0, False), folder))
        with HugePages(max(series.lab.memory_mb for series in every) + 512) as pages:
            for series in every:
                series.lab = with_pages(series.lab, pages.enough)
            log("routing" + ("" if pages.enough else ", without huge pages"))
            for number in range(options.rounds):
                log(f"  round {number + 1} of {options.rounds}")
                run_round(every, l3fwd, options.seconds)
        write_part(options.output, "routing",
                   section(where, every, options.rounds, options.seconds, pages.enough))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    log(f"written: {options.output}")


main()
