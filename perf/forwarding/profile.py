"""Where the cycles of a worker go: Sluice's data plane in the set-up of `perf/run forwarding`, under
`perf record`. Virtual machines without a performance counter can do this too: the sampling is by
timer (cpu-clock).

    perf/profile [--rules none | lin:N | mix:N | fw1_10k] [--flows N] [--seconds S] [--annotate NAME]

`--flows N`: N flows with states, a check-state rule first, the rules behind it. Prints packets a second,
nanoseconds a packet, and the functions by their share of them; keeps the record file where it says, for
`perf report -i` and `perf annotate -i`."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from figures import log, take_precedence  # noqa: E402
from huge_pages import HugePages  # noqa: E402
import rules as rule_sets  # noqa: E402
import setups  # noqa: E402
import traffic  # noqa: E402
from programs import Lab  # noqa: E402

FREQUENCY = 4999
LEAST = 0.3  # percent


def chosen_rules(text):
    kind, _, count = text.partition(":")
    if kind == "none":
        return []
    if kind in ("lin", "mix") and count.isdigit():
        return rule_sets.linear(int(count)) if kind == "lin" else rule_sets.mixed(int(count))
    rules = rule_sets.classbench(text)
    if rules is None:
        raise SystemExit(f"profile: {text} is neither none, lin:N, mix:N nor a set in classbench/")
    return rules


def set_up(lab, folder, options):
    rules = chosen_rules(options.rules)
    if options.flows:
        group = setups.state_group(lab, folder, options.flows, ports_for(options.flows), True)
        return with_rules(group, options, rules)
    capture = folder / "traffic.pcap"
    own = options.rules.partition(":")[0] in ("none", "lin", "mix")
    traffic.write_capture(capture, traffic.plain(setups.PACKETS) if own else
                          traffic.inside(rules, setups.PACKETS))
    return setups.Group("profile", replace(lab, devices=setups.one_way([capture])),
                        [setups.Row(options.rules, rules)])


def ports_for(flows):
    """A port holds 31,000 packets."""
    ports = 2
    while flows // (ports // 2) > 31000 and ports < 32:
        ports *= 2
    return ports


def with_rules(group, options, rules):
    row = group.rows[-1]
    row.rules = rules or [rule_sets.ALLOW_ALL]
    row.name = f"{options.rules}, {options.flows:,} flows"
    group.rows = [row]
    return group


def record(thread, seconds, path):
    done = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-t",
                           thread.name, "-o", str(path), "--", "sleep", str(seconds)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"profile: perf record: {done.stderr.strip()}")


def functions(path):
    """(share, name), the greatest first. Of libraries without symbols only their sum is known."""
    done = subprocess.run(["perf", "report", "-i", str(path), "--stdio", "--no-children", "-g",
                           "none", "--sort", "dso,symbol"], capture_output=True, text=True)
    shares = {}
    for share, library, name in re.findall(r"^\s+([\d.]+)%\s+(\S+)\s+\[[.k]\] (.*?)(?:\s+-)*\s*$",
                                           done.stdout, re.MULTILINE):
        if name.startswith("0x"):
            name = f"({library})"
        shares[name] = shares.get(name, 0) + float(share)
    return sorted(((share, name) for name, share in shares.items() if share >= LEAST), reverse=True)


def main():
    parser = argparse.ArgumentParser(prog="perf/profile")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--rules", default="mix:1000")
    parser.add_argument("--flows", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--annotate", help="show the instructions of this function too")
    options = parser.parse_args()
    options.build = options.build.resolve()
    if shutil.which("perf") is None:
        raise SystemExit("profile: install linux-perf")
    take_precedence()
    folder = Path(tempfile.mkdtemp(prefix="sluice-perf-"))
    try:
        group = set_up(Lab(options.build, os.cpu_count() - 1, 0, False), folder, options)
        with HugePages(group.lab.memory_mb) as pages:
            group.lab = setups.with_pages(group.lab, pages.enough)
            program = setups.start_sluice(group)
            try:
                setups.load(program, group.rows[0])
                rate = setups.measured(program, 1)
                data = Path(tempfile.gettempdir()) / "sluice-perf.data"
                record(program.forwarding_threads()[0], options.seconds, data)
            finally:
                program.close()
        ns = 1e9 / rate.received
        log(f"{group.rows[0].name}: {rate.received / 1e6:.2f} Mpps, {ns:.1f} ns a packet")
        for share, name in functions(data):
            print(f"{share:6.2f} %  {share * ns / 100:8.2f} ns  {name}")
        if options.annotate:
            subprocess.run(["perf", "annotate", "-i", str(data), "--stdio", "-s", options.annotate])
        log(f"record: {data}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
