"""The forwarding table beside those of DPDK, and a full table of routes through the kernel."""

import argparse
import csv
import os
import re
import subprocess
from pathlib import Path

from figures import Figure, log, origin, table, take_precedence, write_part

ROUTES = 1_200_000


def measure(build, cpu):
    """{(family, prefixes): {structure: {column: Figure}}}"""
    done = subprocess.run(["taskset", "-c", str(cpu), str(build / "perf/route_benchmark")],
                          stdout=subprocess.PIPE, text=True, check=True)
    return figures(done.stdout)


def figures(text):
    values = {}
    for line in csv.DictReader(text.splitlines()):
        columns = values.setdefault((line.pop("family"), int(line.pop("prefixes"))), {}).setdefault(
            line.pop("structure"), {})
        for name, value in line.items():
            columns.setdefault(name, []).append(float(value))
    return {case: {structure: {name: Figure(of) for name, of in columns.items()}
                   for structure, columns in structures.items()}
            for case, structures in values.items()}


def follow(build, routes):
    """What the test of the follower says of a large table, in a namespace of its own."""
    done = subprocess.run([str(build / "tests/unit/host/host_load_test"),
                           "--gtest_filter=LoadTest.LargeTableIsLoadedAndFollowed"],
                          stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "SLUICE_ROUTES": str(routes)})
    return follow_sentence(done.stdout)


def follow_sentence(text):
    loaded = re.search(r"(\d+) routes loaded in ([\d.]+) s, ([\d.]+) s of CPU time, the longest turn "
                       r"([\d.]+) ms", text)
    removed = re.search(r"(\d+) removed and followed in ([\d.]+) s", text)
    if not loaded or not removed:
        raise SystemExit("perf: the test of the follower has not measured anything")
    return f"""Through the kernel (`host_load_test`): {int(loaded[1]):,} routes, one in six of IPv6, by 64 gateways each, are in the
table {float(loaded[2]):.2f} s after the follower began to read them ({float(loaded[3]):.2f} s of CPU time, the
kernel's part included); no turn of it took more than {float(loaded[4]):.0f} ms of CPU time. {int(removed[1]):,} that
`ip -batch` removed were out of the table {float(removed[2]):.2f} s after `ip` began."""


def peers_of(structures):
    """rte_lpm, if it was measured, and the other one."""
    return structures.get("rte_lpm"), structures.get("rte_fib") or structures["rte_fib6"]


def of(structure, column, form, scale=1.0):
    return form.format(structure[column].median / scale) if structure else "–"


def rows(results):
    for (family, prefixes), structures in results.items():
        ours = structures["fib"]
        peers = [peer for peer in peers_of(structures) if peer]
        fastest = min(peer["look-up ns"].median for peer in peers)
        yield (family, f"{prefixes:,}", ours["look-up ns"].text("{:.1f}"),
               *(peer["look-up ns"].text("{:.1f}") if peer else "–"
                 for peer in peers_of(structures)),
               f"{ours['look-up ns'].median / fastest:.2f}",
               structures["fib while it changes"]["look-up ns"].text("{:.1f}"))


def more_rows(results):
    for (family, prefixes), structures in results.items():
        columns = (structures["fib"], *peers_of(structures))
        yield (family, f"{prefixes:,}", *(of(one, "load s", "{:.3f}") for one in columns),
               *(of(one, "changes a second", "{:,.0f}", 1e3) for one in columns),
               of(structures["fib while it changes"], "changes a second", "{:,.0f}", 1e3),
               *(of(one, "bytes", "{:.1f}", 2**20) for one in columns))


def section(where, results, sentence):
    return f"""## Routes

{where} `route_benchmark`: the forwarding table beside `rte_lpm` and `rte_fib` (IPv4, direct table of 24
bits) and `rte_fib6` (IPv6, the trie), with the same made-up prefixes, lengths as in a table of the Internet,
64 next hops. Nanoseconds of CPU time for one look-up, in bursts of 32, destinations at random below the
prefixes; the structures take turns; medians, in brackets the least and the greatest. DPDK's
structures give a number and have ordinary pages; the table gives the next hop itself, prefetched, after the choice
among several paths, and asks for huge pages from 8,192 routes on. "Changing": another thread removes
and adds prefixes all the time. rte_lpm takes minutes to load a million prefixes and is left out there.

{table(("family", "prefixes", "look-up", "rte_lpm", "rte_fib, rte_fib6", "ratio to the faster",
        "changing"), rows(results))}
Seconds of CPU time for loading, one prefix at a time; changes in thousands a second (a prefix goes, or comes
back; "read": while another thread looks up); mebibytes (of DPDK's: what was set aside).

{table(("family", "prefixes", "load", "rte_lpm", "rte_fib(6)", "changes", "rte_lpm", "rte_fib(6)",
        "read", "MiB", "rte_lpm", "rte_fib(6)"), more_rows(results))}
{sentence}
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    where = origin("perf/run routes")
    take_precedence()
    log("the forwarding table")
    results = measure(options.build, os.cpu_count() - 1)
    log("a full table through the kernel")
    sentence = follow(options.build, ROUTES)
    write_part(options.output, "routes", section(where, results, sentence))
    log(f"written: {options.output}")


if __name__ == "__main__":
    main()
