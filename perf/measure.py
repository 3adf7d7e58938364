"""What perf/run measures, and how. Figures are medians of several rounds, with the least and the
greatest beside them: where two rows differ by less than that, they do not differ."""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from figures import Figure, log, machine, table, take_precedence, write_part  # noqa: E402
from lab import Appliance, Bed, namespaces_work  # noqa: E402

ROUNDS = 3
SECONDS = 2
ALLOW = "add 60000 allow ip from any to any\n"


# ---- Commands ------------------------------------------------------------------------------------


def rules_that_match_nothing(count):
    return "".join(f"add deny tcp from 10.{i // 250 % 250}.{i % 250}.0/24 to any "
                   f"{1000 + i % 60000} in\n" for i in range(count))


def time_commands(appliance, count=1000):
    """A shell script of single commands, as people write it: milliseconds a command."""
    script = appliance.directory / "commands.sh"
    script.write_text(f"IPFW='{appliance.ipfw_program} -q'\n" + "".join(
        f"$IPFW {line}\n" for line in rules_that_match_nothing(count).splitlines()))
    values = []
    for _ in range(ROUNDS):
        appliance.must("-q", "-f", "flush")
        start = time.monotonic()
        subprocess.run(["sh", script], env=appliance.environment(), check=True,
                       stdin=subprocess.DEVNULL)
        values.append((time.monotonic() - start) * 1000 / count)
        if len(appliance.must("list").splitlines()) != count + 1:
            sys.exit("perf: not all rules were added")
    return Figure(values)


def time_one_more(appliance, count):
    """`ipfw -q add` on top of so many rules: milliseconds."""
    appliance.load(rules_that_match_nothing(count))
    values = []
    for i in range(4 * ROUNDS):
        start = time.monotonic()
        appliance.must("-q", "add", "deny", "udp", "from", f"192.168.{i}.0/24", "to", "any", "53")
        values.append((time.monotonic() - start) * 1000)
    if f"192.168.{i}.0/24" not in appliance.must("list"):
        sys.exit("perf: the rule was not added")
    return Figure(values)


def time_file(appliance, count):
    """`ipfw -q /file`: seconds."""
    path = appliance.rule_file("-f flush\n" + rules_that_match_nothing(count))
    values = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        appliance.must("-q", path)
        values.append(time.monotonic() - start)
    return Figure(values)


# ---- Forwarding ----------------------------------------------------------------------------------


def received(host):
    counters = host.ip("-s", "-j", "link", "show", "eth0")
    return json.loads(counters)[0]["stats64"]["rx"]["packets"]


def flood(bed, build):
    """Packets a second that arrive at B while A sends all it can. On a busy machine reading a counter
    may take so long that the flood is over meanwhile: such a window says nothing and is taken again."""
    for _ in range(5):
        generator = bed.a.start("taskset", "-c", "0", str(build / "perf/generator"), "eth0",
                                str(SECONDS + 1))
        time.sleep(0.5)
        before, start = received(bed.b), time.monotonic()
        time.sleep(SECONDS)
        after, end = received(bed.b), time.monotonic()
        outlasted = generator.poll() is None
        generator.wait()
        if outlasted:
            return (after - before) / (end - start)
        log("  the flood ended before the window did: once more")
    sys.exit("perf: the machine is too busy to measure: five floods ended before their windows did")


class TestPmd:
    """dpdk-testpmd as a bridge between the same interfaces, with the rings that Sluice chooses."""

    RING = "qpairs=1,framesz=2048,blocksz=4096"

    def __init__(self, bed, mode):
        self.child = bed.middle.start(
            "dpdk-testpmd", "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
            "--file-prefix", f"perf{os.getpid()}", "--log-level", "*:error",
            "--vdev", f"net_af_packet0,iface=em0,{self.RING}",
            "--vdev", f"net_af_packet1,iface=em1,{self.RING}",
            "--", "--forward-mode", mode, "--auto-start", "--no-mlockall",
            "--total-num-mbufs", "16384", "--stats-period", "3600", stdin=subprocess.PIPE)
        time.sleep(3)
        if self.child.poll() is not None:
            sys.exit("perf: dpdk-testpmd does not start")

    def close(self):
        self.child.terminate()
        self.child.wait()


def measure_forwarding(build):
    """{name: Figure}; the candidates take turns, so that all see the same machine."""
    values = {}

    def note(name, rate):
        log(f"  {name}: {rate / 1000:.0f} kpps")
        values.setdefault(name, []).append(rate)

    for _ in range(ROUNDS):
        for mode in ("io", "macswap"):
            with Bed() as bed:
                other = TestPmd(bed, mode)
                note(f"testpmd, {mode}", flood(bed, build))
                other.close()
        with Bed() as bed, Appliance(bed.middle, build,
                                     dataplane={"idle": "poll", "cpus": [1]}) as appliance:
            appliance.start()
            for count in (0, 10, 100, 1000):
                appliance.load(rules_that_match_nothing(count) + ALLOW)
                note(f"Sluice, {count + 1} rules" if count else "Sluice, 1 rule",
                     flood(bed, build))
    return {name: Figure(rates) for name, rates in values.items()}


# ---- The engine alone ----------------------------------------------------------------------------


def measure_engine(build):
    """{name: Figure in ns}"""
    done = subprocess.run(["taskset", "-c", "1", str(build / "perf/engine_benchmark"),
                           "--benchmark_format=json", "--benchmark_repetitions=5"],
                          capture_output=True, text=True, check=True)
    values = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] == "iteration":
            values.setdefault(run["run_name"], []).append(1e9 / run["packets"])
    return {name: Figure(times) for name, times in values.items()}


# ---- The state table alone -----------------------------------------------------------------------

FLOWS = (1_000, 100_000, 1_000_000, 10_000_000)


class HugePages:
    """Huge pages for DPDK while this is open; False if the kernel does not give so many."""

    COUNT = Path("/proc/sys/vm/nr_hugepages")
    WANTED = 1024

    def __enter__(self):
        self.before = int(self.COUNT.read_text())
        self.COUNT.write_text(str(max(self.before, self.WANTED)))
        return int(self.COUNT.read_text()) >= self.WANTED

    def __exit__(self, *_):
        self.COUNT.write_text(str(self.before))


def measure_states(build, *options):
    """{number of flows: {column: Figure}}"""
    done = subprocess.run(["taskset", "-c", "1", str(build / "perf/state_benchmark"), *options,
                           *map(str, FLOWS)], stdout=subprocess.PIPE, text=True, check=True)
    values = {}
    for round_ in csv.DictReader(done.stdout.splitlines()):
        columns = values.setdefault(int(round_.pop("flows")), {})
        for name, value in round_.items():
            columns.setdefault(name, []).append(float(value))
    return {flows: {name: Figure(times) for name, times in columns.items()}
            for flows, columns in values.items()}


def measure_both_pages(build):
    """{which pages: the above}"""
    states = {"small pages": measure_states(build)}
    with HugePages() as given:
        if given:
            states["huge pages"] = measure_states(build, "--huge")
    return states


def measure_tables(build):
    """What table_benchmark prints, a table and a sentence."""
    return subprocess.run(["taskset", "-c", "1", str(build / "perf/table_benchmark")],
                          capture_output=True, text=True, check=True).stdout


def measure_scrape(build):
    """What scrape_benchmark prints, a table."""
    return subprocess.run(["taskset", "-c", "1", str(build / "perf/scrape_benchmark")],
                          capture_output=True, text=True, check=True).stdout


# ---- The report ----------------------------------------------------------------------------------


def beside_rte_hash(flows, figures):
    """A row: ours, theirs, and the ratio of the medians, for look-up and for insertion."""
    row = [f"{flows:,}"]
    for name in ("look-up", "insert"):
        ours, theirs = figures[f"{name} ns"], figures[f"rte_hash {name} ns"]
        row += [ours.text("{:.0f}"), theirs.text("{:.0f}"), f"{ours.median / theirs.median:.2f}"]
    return row


def state_section(states, engine):
    few, many = (engine.pop(f"established/flows:{flows}") for flows in (1_000, 1_000_000))
    text = f"""## The state table

`state_benchmark`: the table of one worker beside DPDK's rte_hash with the same TCP flows of IPv4
in the same process, bound to CPU 1; in each round both have their turn, with a new table each.
Nanoseconds of CPU time for one flow. Look-ups come in bursts of 32, in random order, all are
found. rte_hash gets its keys ready made, its CRC hash, its bulk look-up, and an eighth more places
than flows; it finds a position and reads nothing there, so its figures with a record include
reading one cache line for each flow, prefetched. The table orders the ends of each key, hashes with
a secret, checks the state's time, and hangs an insertion into the timer wheel. It asks for huge
pages wherever it runs; the small ones show what it costs where the kernel gives none.
"""
    for pages, sizes in states.items():
        text += f"""
With {pages} for both:

{table(("flows", "look-up", "rte_hash", "ratio", "insert", "rte_hash", "ratio"),
       [beside_rte_hash(*size) for size in sizes.items()])}
{table(("flows", "look-up and update", "rte_hash look-up and record", "expiry", "rte_hash delete",
        "bytes a flow"),
       [(f"{flows:,}", figures["look-up and update ns"].text("{:.0f}"),
         figures["rte_hash look-up and record ns"].text("{:.0f}"),
         figures["expiry ns"].text("{:.0f}"), figures["rte_hash delete ns"].text("{:.0f}"),
         f"{figures['bytes a flow'].median:.1f}") for flows, figures in sizes.items()])}"""
    return text + f"""
Wanted: ratios below 1, and 128 bytes a flow at most.

Established TCP traffic through the engine (`engine_benchmark`: parse, `check-state`, the action of
a `keep-state` rule, in bursts of 32, connections in random order, both directions, headers in the
cache): {few.text("{:.0f} ns")} a packet with 1,000 states, {many.text("{:.0f} ns")} with 1,000,000,
{many.median / few.median:.2f} times as much; wanted: 2 times at most.
"""


def report(where, commands, one_more, file_load, large_load, forwarding, engine, states, tables,
           scrape):
    base = forwarding["testpmd, macswap"].median
    empty = engine["filter/rules:0"].median
    states_text = state_section(states, engine)
    return f"""# Measurements

Written by `perf/run` on {time.strftime("%Y-%m-%d", time.gmtime())}. {where}.
Each figure is a median, with the least and the greatest of the rounds in brackets. Differences
within these ranges mean nothing. What is measured goes before other work (nice −20), but a loaded
machine still shows.

## Commands

{table(("what", "figure", "wanted"), [
    ("one `ipfw -q add` of a shell script of 1,000", commands.text("{:.2f} ms"), "10 ms at most"),
    ("one `ipfw -q add` on top of 10,000 rules", one_more.text("{:.1f} ms"), "below 10 ms"),
    ("`ipfw -q FILE` with 10,000 rules", file_load.text("{:.3f} s"), "below 0.1 s"),
    ("`ipfw -q FILE` with 100,000 rules", large_load.text("{:.2f} s"), "below 1 s"),
])}
Both daemons run; a command is answered when the rule is in force.

## Forwarding

60-byte UDP frames of 1,024 flows from A to B over veth pairs and net_af_packet, one worker that
polls, bound to CPU 1; the generator is bound to CPU 0. testpmd has the same interfaces and rings in
the same minute. The rules in front of the last one do not match. {SECONDS} s a window, {ROUNDS}
rounds. On veth the kernel's share is the greatest: read the ratio, not the rate.

{table(("bridge", "kpps", "of testpmd macswap"), [
    (name, Figure([v / 1000 for v in (f.median, f.least, f.greatest)]).text("{:.0f}"),
     f"{100 * f.median / base:.0f} %") for name, f in forwarding.items()])}
## The engine

`engine_benchmark`: parse, filter, count, in bursts of 32; no DPDK, packets in the cache.

{table(("case", "ns a packet", "beyond the empty ruleset"), [
    (name.replace("filter/rules:", "parse and filter, rules that do not match: ")
     .replace("parse_only", "parse alone"), f.text("{:.1f}"),
     f"{f.median - empty:+.1f} ns" if name.startswith("filter") else "")
    for name, f in engine.items()])}
{states_text}
## Tables

`table_benchmark`: one table, bound to CPU 1, beside DPDK's structures with the same prefixes or keys in the same process; all
take turns, medians, and all must give the same answers. Prefixes have the lengths of a routing table; what is looked up lies
below a random one each time, or ("anything") shares the upper eight bits of one. A look-up of ours finds the entry and reads
its value; rte_fib, rte_fib6 and rte_lpm find a number, rte_hash (CRC) a position. A table has as much memory as it has
entries; rte_fib sets 64 MB aside, and a kilobyte for each /24 with longer prefixes. rte_fib6 with two million groups has no room
for the last row, and rte_lpm takes minutes to load so many. Bytes are those of nodes, entries and hit counters of one worker.

{tables}
## Metrics

`scrape_benchmark`: collecting and writing the metrics of two workers, `rules = "all"`; all counters have
sixteen digits. Time of one CPU, not the workers'.

{scrape}"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if reason := namespaces_work():
        sys.exit(f"perf: {reason}")
    where = machine()
    take_precedence()
    log("the engine")
    engine = measure_engine(options.build)
    log("the state table")
    states = measure_both_pages(options.build)
    log("tables")
    tables = measure_tables(options.build)
    log("metrics")
    scrape = measure_scrape(options.build)
    log("commands")
    with Bed() as bed, Appliance(bed.middle, options.build,
                                 dataplane={"slot_capacity": 262144}) as appliance:
        appliance.start()
        commands = time_commands(appliance)
        one_more = time_one_more(appliance, 10_000)
        file_load = time_file(appliance, 10_000)
        large_load = time_file(appliance, 100_000)
    log("forwarding")
    forwarding = measure_forwarding(options.build)
    write_part(options.output, None,
               report(where, commands, one_more, file_load, large_load, forwarding, engine, states,
                      tables, scrape))
    log(f"written: {options.output}")


main()
