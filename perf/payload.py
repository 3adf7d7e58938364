"""Payload rules: the engine beside a bare loop, by the number of patterns and the size of packets."""

import argparse
import csv
import os
import subprocess
from pathlib import Path

from figures import Figure, log, origin, table, take_precedence, write_part


CONNECTIONS = 256


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
        if of != mode:
            continue
        yield (f"{patterns:,}", *(f"{gbit(size, columns['engine ns'].median):.1f} of "
                                  f"{gbit(size, columns['bare ns'].median):.1f} "
                                  f"({columns['bare ns'].median / columns['engine ns'].median:.0%})"
                                  for size, columns in sizes.items()))


def cost_rows(results):
    for (mode, patterns), sizes in results.items():
        small, large = sizes[min(sizes)], sizes[max(sizes)]
        measured = gbit(max(sizes), large["engine ns"].median)
        yield (mode, f"{patterns:,}", f"{large['database bytes'].median / 1e3:,.1f}",
               f"{large['stream bytes'].median:,.0f}" if mode == "stream" else "–",
               *(f"{columns[name].median:.0f}" for columns in (small, large)
                 for name in ("bare ns", "engine ns")),
               f"{large['estimate'].median:.1f}", f"{large['estimate'].median / measured:.2f}")


def other_rows(results):
    for mode in dict.fromkeys(mode for mode, _ in results):
        columns = [columns for (of, _), sizes in results.items() if of == mode
                   for columns in sizes.values()]
        values = {name: Figure([each[name].median for each in columns])
                  for name in ("other port ns", "no payload ns")}
        lost = Figure([each["other port ns"].median - each["no payload ns"].median
                       for each in columns])
        yield (mode, values["no payload ns"].text("{:.1f}"), values["other port ns"].text("{:.1f}"),
               lost.text("{:.1f}"))


def section(where, results):
    sizes = list(next(iter(results.values())))
    head = ("patterns", *(f"{size} B" for size in sizes))
    return f"""## Payload

{where} `payload_benchmark`: sets of patterns, half of them literals of 8 to 16 bytes and half expressions that
begin with such a literal, looked for in text like that of HTTP, in which there is none of them. Gbit/s of
payload by one core: of the engine on bursts of 64 frames, with a rule `deny tcp from any to any 80 payload SET`,
of a bare loop over the same payloads in the same memory, and the ratio of the two; medians of rounds, of CPU time.

Packet mode: `hs_scan`; the second rule is `allow ip from any to any`.

{table(head, rows(results, "packet"))}
Stream mode: `hs_scan_stream` on {CONNECTIONS} streams in turn, each of which begins anew after 8 KiB; the engine follows
as many TCP connections, whose checksums it verifies, and behind the payload rule stand `check-state` and `allow … setup
keep-state`.

{table(head, rows(results, "stream"))}
What packets lose that the payload rule does not concern, because they go to another port: their nanoseconds if that rule
tests the port alone, with the payload rule, and the difference (in brackets the least and the greatest of all sets and
sizes).

{table(("mode", "no payload rule", "payload rule", "lost"), other_rows(results))}
What a set takes, the nanoseconds for the least and the largest packets, and what `ipfw pattern NAME lint` says of the
largest ones, in Gbit/s and as a ratio to the engine's:

{table(("mode", "patterns", "database, kB", "stream, bytes", f"bare ns, {sizes[0]} B", f"engine, {sizes[0]} B",
        f"bare ns, {sizes[-1]} B", f"engine, {sizes[-1]} B", "lint", "ratio"), cost_rows(results))}
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
