"""The classifier beside rte_acl and a linear search: what is measured, and the table of it.

Every set has a process of its own (classifier_benchmark), in which the candidates take turns. The rule
sets of ClassBench are not ours to give away: they are read from `classbench/` of the folder that
SLUICE_SHARED names, or of `../shared` beside the checkout. Without them rules of our own making stand
in, and the table says so."""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "perf"))
from figures import log, origin, table, take_precedence, write_part  # noqa: E402
from huge_pages import HugePages  # noqa: E402

SETS = ("acl1", "fw1", "ipc1", "fw5")
SIZES = {"1k": 1000, "10k": 10000, "100k": 100000}
TINY = (10, 100)
TRACES = ("rule", "zipf", "random")
# rte_acl needs minutes and gigabytes for some sets; it is given up for a set after this.
SECONDS_FOR_A_SET = 1200
# For the tables of rte_acl; those of 100,000 rules take half of it.
HUGE_PAGES_MB = 2048


def rule_folder():
    shared = Path(os.environ.get("SLUICE_SHARED", SOURCE.parent / "shared"))
    return shared / "classbench"


def jobs(sizes):
    """(name, arguments) of each run; and whether the rules are ClassBench's."""
    folder = rule_folder()
    found = []
    for size in sizes:
        for name in SETS:
            for ending in (".ipfw", ".ipfw.gz"):
                path = folder / f"{name}_{size}{ending}"
                if path.exists():
                    found.append((path.name.split(".")[0], path))
    if not found:
        tiny = [(f"own_{count}", ["--own", str(count)]) for count in TINY]
        return tiny + [(f"own_{size}", ["--own", str(SIZES[size])]) for size in sizes], False
    first = next((path for name, path in found if name == "acl1_1k"), found[0][1])
    tiny = [(f"{first.name.split('.')[0]}, first {count}", [first, "--first", str(count)])
            for count in TINY]
    return tiny + [(name, [path]) for name, path in found], True


def run_one(build, arguments, rounds, cpu, huge_pages):
    """The result of one set, a dictionary; ends the run where an engine gives a wrong answer."""
    with tempfile.TemporaryDirectory(prefix="sluice-perf-") as folder:
        words = []
        for word in arguments:
            if isinstance(word, Path) and word.suffix == ".gz":
                plain = Path(folder) / word.stem
                plain.write_bytes(gzip.decompress(word.read_bytes()))
                word = plain
            words.append(str(word))
        command = [str(build / "perf/classifier/classifier_benchmark"), "--cpu", str(cpu),
                   "--rounds", str(rounds), *words]
        if huge_pages:
            command.append("--huge")
        try:
            done = subprocess.run(command, capture_output=True, text=True,
                                  timeout=SECONDS_FOR_A_SET)
            reason = f"ended by signal {-done.returncode}" if done.returncode < 0 else None
        except subprocess.TimeoutExpired:
            reason = f"not done within {SECONDS_FOR_A_SET} s"
        if reason is not None:
            # rte_acl is what takes so much; without it the rest of the row still is known.
            log(f"    with rte_acl: {reason}")
            done = subprocess.run([*command, "--without-acl"], capture_output=True, text=True)
        elif huge_pages and "error" in json.loads(done.stdout or "{}").get("rte_acl", {}):
            log("    with rte_acl: the huge pages do not suffice, once more in ordinary ones")
            return run_one(build, arguments, rounds, cpu, huge_pages=False)
        if done.returncode != 0:
            raise SystemExit(f"perf: {' '.join(command)}:\n{done.stderr.strip()}")
        result = json.loads(done.stdout)
        if reason is not None:
            result["rte_acl"] = {"error": reason}
        return result


def measure(build, sizes=tuple(SIZES), rounds=9, cpu=1, huge_pages=False, only=""):
    """Results of all sets, first as IPv4, then mapped to IPv6; and whether they are ClassBench's."""
    results = []
    every, are_classbench = jobs(sizes)
    for version in (4, 6):
        for name, arguments in every:
            title = name + (", IPv6" if version == 6 else "")
            if only not in title:
                continue
            log(f"  {title}")
            arguments = arguments + (["--ipv6"] if version == 6 else [])
            results.append({**run_one(build, arguments, rounds, cpu, huge_pages), "title": title})
    return results, are_classbench


# ---- The tables ----------------------------------------------------------------------------------


def best_acl(traces, kind):
    methods = {name: run for name, run in traces[kind].items() if name.startswith("rte_acl")}
    return min(methods.items(), key=lambda item: item[1]["ns"], default=(None, None))


def nanoseconds(run):
    digits = 0 if run["ns"] >= 100 else 1
    return (f"{run['ns']:.{digits}f} ({run['least']:.{digits}f}–{run['greatest']:.{digits}f})")


def ratio(value):
    return f"{value:.2f}×" if value < 10 else f"{value:.0f}×"


def speed_rows(results):
    for result in results:
        for kind in TRACES:
            runs = result["traces"][kind]
            ours, linear, counting = (runs[name] for name in
                                      ("sluice", "linear", "sluice, count rules"))
            name, acl = best_acl(result["traces"], kind)
            yield (result["title"] if kind == TRACES[0] else "",
                   f"{result['rules']:,}" if kind == TRACES[0] else "", kind, nanoseconds(ours),
                   nanoseconds(acl) if acl else "–",
                   name.removeprefix("rte_acl ") if acl else "–",
                   ratio(acl["ns"] / ours["ns"]) if acl else "–", nanoseconds(counting),
                   nanoseconds(linear))


def milliseconds(seconds):
    return f"{seconds * 1000:.{0 if seconds >= 0.1 else 1}f}"


def mebibytes(count):
    value = count / (1 << 20)
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cost_rows(results):
    for result in results:
        ours, acl = result["sluice"], result.get("rte_acl", {})
        built = "build_s" in acl
        in_force = ours["compiler_s"] + ours["runtime_s"]
        yield (result["title"], f"{result['rules']:,}", ours["description"],
               milliseconds(ours["classifier_s"]), milliseconds(in_force),
               milliseconds(acl["build_s"]) if built else acl.get("error", "–"),
               ratio(acl["build_s"] / in_force) if built else "–",
               milliseconds(ours["language_s"]), mebibytes(ours["bytes"]),
               mebibytes(acl["bytes"]) if built else "–",
               ratio(ours["bytes"] / acl["bytes"]) if built else "–",
               mebibytes(acl["peak_bytes"]) if built else "–")


def section(where, results, are_classbench, rounds, huge_pages):
    source = ("The rules are ClassBench's." if are_classbench else
              "There were no ClassBench rules beside the checkout: the rules are of our own making "
              "and say nothing about ClassBench's.")
    memory = ("The tables of rte_acl lie in huge pages." if huge_pages else
              "The tables of rte_acl lie in ordinary pages.")
    return f"""## The classifier

{where} `classifier_benchmark`, one process a set, bound to one CPU, CPU time of the thread.
{source} IPv6: the same rules mapped into 2001::/16. Sluice, the methods of rte_acl and a linear
search take turns; {rounds} rounds, medians, in brackets the least and the greatest. Bursts of 256.
Extraction of the fields is in nobody's time. `rule`: any rule, any point in it; `zipf`: 100,000 such
flows, Zipf(1.0); `random`: any header. rte_acl: the best of scalar, sse, avx2, avx512x16 and
avx512x32 for each line, five fields. {memory} `count rules`: one rule in ten is a `count` rule, and all
that match up to the one that decides are listed; rte_acl knows no such thing. In every trace
{results[0]['checked'] if results else 0:,} packets of both engines were compared with the linear
search.

{table(("set", "rules", "traffic", "Sluice ns", "rte_acl ns", "method", "rte_acl ÷ Sluice",
        "Sluice with count rules ns", "linear ns"), speed_rows(results))}
Build: the classifier alone, and from rules to a runtime that could be put in force (compiler,
snapshot, checks, classifier), which is what `rte_acl_build` is compared with; reading the text comes
before. Memory: what is left behind; the peak is what `rte_acl_build` takes meanwhile.

{table(("set", "rules", "Sluice's way", "classifier ms", "rules to runtime ms", "rte_acl_build ms",
        "rte_acl ÷ Sluice", "text to rules ms", "MiB", "rte_acl MiB", "Sluice ÷ rte_acl",
        "rte_acl peak MiB"), cost_rows(results))}"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sizes", default=",".join(SIZES), help="of 1k,10k,100k")
    parser.add_argument("--only", default="", help="sets whose name has this in it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pages", choices=("huge", "ordinary"), default="huge",
                        help="that the tables of rte_acl lie in")
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1)
    options = parser.parse_args()
    where = origin("perf/run classifier")
    take_precedence()
    log("the classifier")
    with HugePages(HUGE_PAGES_MB if options.pages == "huge" else 0) as pages:
        huge = pages.enough and options.pages == "huge"
        results, are_classbench = measure(options.build, options.sizes.split(","), options.rounds,
                                          options.cpu, huge, options.only)
        text = section(where, results, are_classbench, options.rounds, huge)
    write_part(options.output, "classifier", text)
    log(f"written: {options.output}")


main()
