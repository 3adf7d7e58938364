"""Cycles of the stages of the engine: what is measured, and the table of it."""

import argparse
import csv
import os
import subprocess
from pathlib import Path

from figures import Figure, log, origin, table, take_precedence, write_part


def measure(build, cpu):
    """{rules: {stage: Figure}}"""
    done = subprocess.run(["taskset", "-c", str(cpu), str(build / "perf/stage_benchmark")],
                          stdout=subprocess.PIPE, text=True, check=True)
    values = {}
    for line in csv.DictReader(done.stdout.splitlines()):
        stages = values.setdefault(line["rules"], {"parse": [], "judge": []})
        for stage, figures in stages.items():
            figures.append(float(line[stage]))
    return {rules: {stage: Figure(figures) for stage, figures in stages.items()}
            for rules, stages in values.items()}


def section(where, results):
    none = results["none"]["judge"].median
    return f"""## Cycles of the engine

{where} `stage_benchmark`: cycles of the time stamp
counter for a packet, bursts of 32, frames in the cache, no DPDK. Judging is all that follows parsing:
classification, states, counters, verdict. Rules of our own; packets that match any of 1,000 of them.

{table(("rules", "parse", "judge", "beyond no rules"), [
    (rules, stages["parse"].text("{:.0f}"), stages["judge"].text("{:.0f}"),
     f"{stages['judge'].median - none:+.0f}" if rules != "none" else "")
    for rules, stages in results.items()])}"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    where = origin("perf/run stages")
    take_precedence()
    log("the stages of the engine")
    results = measure(options.build, os.cpu_count() - 1)
    write_part(options.output, "stages", section(where, results))
    log(f"written: {options.output}")


main()
