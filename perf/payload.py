"""Payload rules: looking for patterns, by their number and by the size of packets."""

import argparse
import csv
import os
import subprocess
from pathlib import Path

from figures import Figure, log, origin, table, take_precedence, write_part


def measure(build, cpu):
    """{(mode, patterns): {bytes: {column: Figure}}}"""
    done = subprocess.run(["taskset", "-c", str(cpu), str(build / "perf/payload_benchmark")],
                          stdout=subprocess.PIPE, text=True, check=True)
    return figures(done.stdout)


def figures(text):
    values = {}
    for line in csv.DictReader(text.splitlines()):
        columns = values.setdefault((line.pop("mode"), int(line.pop("patterns"))), {}).setdefault(
            int(line.pop("bytes")), {})
        for name, value in line.items():
            columns.setdefault(name, []).append(float(value))
    return {case: {size: {name: Figure(of) for name, of in columns.items()}
                   for size, columns in sizes.items()}
            for case, sizes in values.items()}


def gbit(size, nanoseconds):
    return size * 8 / nanoseconds


def rows(results, mode):
    for (of, patterns), sizes in results.items():
        if of == mode:
            yield (f"{patterns:,}", *(f"{gbit(size, columns['bare ns'].median):.1f}"
                                      for size, columns in sizes.items()))


def cost_rows(results):
    for (mode, patterns), sizes in results.items():
        small, large = sizes[min(sizes)], sizes[max(sizes)]
        measured = gbit(max(sizes), large["bare ns"].median)
        yield (mode, f"{patterns:,}", f"{large['database bytes'].median / 1e3:,.1f}",
               f"{large['stream bytes'].median:,.0f}" if mode == "stream" else "–",
               small["bare ns"].text("{:.0f}"), large["bare ns"].text("{:.0f}"),
               f"{large['estimate'].median:.1f}", f"{large['estimate'].median / measured:.2f}")


def section(where, results):
    sizes = list(next(iter(results.values())))
    head = ("patterns", *(f"{size} B" for size in sizes))
    return f"""## Payload

{where} `payload_benchmark`: sets of patterns, half of them literals of 8 to 16 bytes and half expressions that
begin with such a literal, looked for in text like that of HTTP, in which there is none of them. Gbit/s of
payload by one core, of a loop of `hs_scan` (packet mode) and of `hs_scan_stream` on 256 streams in turn, each of
which begins anew after 8 KiB (stream mode); medians of rounds, of CPU time.

Packet mode:

{table(head, rows(results, "packet"))}
Stream mode:

{table(head, rows(results, "stream"))}
What a set takes, the nanoseconds of CPU time for the least and the largest packets (in brackets the least and the
greatest), and what `ipfw pattern NAME lint` says of the largest ones, in Gbit/s and as a ratio to what is measured here:

{table(("mode", "patterns", "database, kB", "stream, bytes", f"ns, {sizes[0]} B", f"ns, {sizes[-1]} B",
        "lint", "ratio"), cost_rows(results))}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    where = origin("perf/run payload")
    take_precedence()
    log("payload")
    results = measure(options.build, os.cpu_count() - 1)
    write_part(options.output, "payload", section(where, results))
    log(f"written: {options.output}")


if __name__ == "__main__":
    main()
