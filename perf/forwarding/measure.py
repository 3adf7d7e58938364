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
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
from figures import Figure, log, origin, table, take_precedence, write_part  # noqa: E402
from huge_pages import HugePages  # noqa: E402
from programs import DoesNotForward, Lab, L3fwd, TestPmd, build_l3fwd  # noqa: E402
from setups import (KEEP_STATE, PACKETS, groups, load, measured, start_sluice,  # noqa: E402
                    with_pages)

ROUNDS = 5
SECONDS = 1.5
METHODS = ("avx2", "avx512x32")
# Two programs that drop and send differently do not have the same rules.
TOLERANCE = 0.01


# ---- Measuring -----------------------------------------------------------------------------------


def run_sluice(group, seconds):
    """{row name: Rate}"""
    rates = {}
    program = start_sluice(group)
    try:
        for row in group.rows:
            load(program, row)
            rates[row.name] = measured(program, seconds)
            row.note("Sluice", rates[row.name])
            lost = 1 - rates[row.name].share_sent
            if row.states and not row.hands_over and lost > TOLERANCE:
                raise SystemExit(f"perf: {row.name}: packets of known flows are dropped")
    finally:
        program.close()
    return rates


def run_testpmd(group, seconds):
    """One that does not start is left out of the round: others have run for half an hour."""
    try:
        program = TestPmd(group.lab)
    except DoesNotForward as reason:
        if not group.testpmd:
            raise
        log(f"    left out of this round: {reason}")
        return
    try:
        rate = measured(program, seconds)
    finally:
        program.close()
    group.testpmd.append(rate.received)
    log(f"    testpmd: {rate.received / 1e6:.2f} Mpps")


def run_l3fwd(group, l3fwd, row, ours, seconds):
    for method in METHODS:
        program = L3fwd.by_rules(group.lab, l3fwd, row.rules, method)
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
then 1,000 rules, then one that made the states; all packets belong to known flows: no state was made
in these windows.
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
        if not every:
            raise SystemExit("perf: there is no such group to measure")
        needed = max(group.lab.memory_mb for group in every)
        # testpmd and l3fwd have buffers and tables beside those.
        with HugePages(needed + 512) as pages:
            for group in every:
                group.lab = with_pages(group.lab, pages.enough)
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
