"""Looks at the sources themselves: format, size, and that includes point one way. One line for each
check, `ok NAME` or `not ok NAME`, with what is wrong above it."""

import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
MAXIMUM_LINES = 800
FOLDERS = ("common", "config", "controlplane", "dataplane", "deploy", "perf", "replay", "tests")
CPP = (".h", ".cc")

# The way of the arrows (ARCHITECTURE.md): what a folder may include beside itself.
CONTROLPLANE = ("language", "ruleset", "compiler", "log", "metrics", "service", "cli")
DATAPLANE = ("contract", "packet", "route", "sockets", "classify", "state", "table", "program", "forward",
             "divert", "host", "worker", "app")


def sources(endings):
    return sorted(path for folder in FOLDERS for path in (TREE / folder).rglob("*")
                  if path.suffix in endings and path.is_file())


def includes(path):
    return re.findall(r'^\s*#\s*include\s+[<"]([^">]+)[">]', path.read_text(), re.MULTILINE)


def check_format():
    files = sources(CPP)
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *map(str, files)],
                          capture_output=True, text=True, cwd=TREE)
    return [line for line in done.stderr.splitlines() if "error:" in line][:50]


def check_size():
    return [f"{path.relative_to(TREE)}: {count} lines, more than {MAXIMUM_LINES}"
            for path in sources((*CPP, ".py"))
            if (count := len(path.read_text().splitlines())) > MAXIMUM_LINES]


def allowed(folder, included):
    """May a file of `folder` include this path of ours?"""
    top = included.split("/")[0]
    if top in ("common", folder.split("/")[0]) and top not in ("dataplane", "controlplane"):
        return True
    if folder.startswith("dataplane/"):
        part = folder.split("/")[1]
        if included.startswith("config/"):
            return part in ("worker", "app")
        if not included.startswith("dataplane/"):
            return False
        return DATAPLANE.index(included.split("/")[1]) <= DATAPLANE.index(part)
    if folder.startswith("controlplane/"):
        if folder == "controlplane/cli" and top == "replay":
            return True
        if top == "controlplane":
            part = folder.split("/")[1]
            return CONTROLPLANE.index(included.split("/")[1]) <= CONTROLPLANE.index(part)
        return top == "config" or included.startswith("dataplane/contract/")
    return top not in ("dataplane", "controlplane", "replay", "tests", "perf")


def check_arrows():
    wrong = []
    for path in sources(CPP):
        folder = str(path.parent.relative_to(TREE))
        if folder.split("/")[0] in ("replay", "tests", "perf"):
            continue  # they may use both halves
        for included in includes(path):
            ours = included.split("/")[0] in FOLDERS
            if ours and not allowed(folder, included):
                wrong.append(f"{path.relative_to(TREE)} includes {included}")
    return wrong


def check_dpdk():
    """DPDK is known to worker/ and app/ only, and to what measures Sluice beside it."""
    homes = ("dataplane/worker", "dataplane/app", "tests/unit/worker", "perf",
             "perf/classifier")
    return [f"{path.relative_to(TREE)} includes {included}" for path in sources(CPP)
            for included in includes(path)
            if included.startswith("rte_") and str(path.parent.relative_to(TREE)) not in homes]


def check_http():
    """What listens to the network is known to one folder."""
    return [f"{path.relative_to(TREE)} includes {included}" for path in sources(CPP)
            for included in includes(path)
            if included.startswith(("prometheus/", "civetweb"))
            and str(path.parent.relative_to(TREE)) not in ("controlplane/metrics", "perf")]


def check_open_ends():
    """Nothing is left to do without saying so where it can be found."""
    pattern = re.compile(r"\b(TODO|FIXME|XXX)\b")
    return [f"{path.relative_to(TREE)}:{number}: {line.strip()}"
            for path in sources((*CPP, ".build"))
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if pattern.search(line)]


def check_manual_pages():
    pages = sorted((TREE / "deploy/man").glob("*.[0-9]"))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *map(str, pages)],
                          capture_output=True, text=True, cwd=TREE)
    return done.stdout.splitlines() + ([] if pages else ["there are no manual pages"])


def main():
    good = True
    for check in (check_format, check_size, check_arrows, check_dpdk, check_http, check_open_ends,
                  check_manual_pages):
        wrong = check()
        for line in wrong:
            print("   ", line)
        print("not ok" if wrong else "ok", check.__name__.removeprefix("check_"))
        good = good and not wrong
    return 0 if good else 1


sys.exit(main())
