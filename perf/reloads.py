"""Rulesets that take turns under load, at length: the end-to-end test of two colours, with more reloads
and packets than it has otherwise. It fails if one packet sees two rulesets."""

import argparse
import os
import re
import subprocess
from pathlib import Path

from figures import log, origin, table, write_part

TREE = Path(__file__).resolve().parents[1]
SWAPS, PACKETS = 10_000, 100_000_000
LINE = re.compile(r"^(marked_by_a_rule): (\d+) reloads and ([\d,]+) packets in ([\d.]+) s, "
                  r"(-?[\d,]+) bytes more$", re.MULTILINE)


def measure(build):
    """[(reloads, packets, seconds, bytes more)], with one worker, and a fifth of it with two"""
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-s", "--rootdir", "tests/e2e", "-c",
         "tests/e2e/pytest.ini", "tests/e2e/test_two_colours.py", "-k", "by_a_rule"],
        cwd=TREE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SLUICE_BUILD": str(build), "SLUICE_E2E_SWAPS": str(SWAPS),
             "SLUICE_E2E_COLOURED_PACKETS": str(PACKETS)})
    if done.returncode != 0:
        raise SystemExit(f"perf: the test failed:\n{done.stdout}")
    return [(int(swaps), int(packets.replace(",", "")), float(seconds),
             int(more.replace(",", "")))
            for _, swaps, packets, seconds, more in LINE.findall(done.stdout)]


def section(where, runs):
    rows = [(str(workers), f"{swaps:,}", f"{packets:,}", f"{seconds / swaps * 1000:.1f}",
             f"{packets / seconds / 1e6:.2f}", f"{more >> 10:,}", "0")
            for workers, (swaps, packets, seconds, more) in enumerate(runs, 1)]
    return f"""## Reloads under load

{where} Two rulesets of 1,003 rules take turns, each loaded by a process of `ipfw apply`, while
`net_pcap` repeats packets from memory without a pause. One marks every packet with the tag 1 and passes
what has it, the other does so with the tag 2. A packet that saw two rulesets would be dropped.

{table(("workers", "reloads", "packets", "ms a reload", "Mpps meanwhile", "kB more at the end",
        "packets lost"), rows)}"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    where = origin("perf/run reloads")
    log("reloads under load")
    runs = measure(options.build.resolve())
    write_part(options.output, "reloads", section(where, runs))
    log(f"written: {options.output}")


main()
