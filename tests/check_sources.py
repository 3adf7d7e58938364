"""Looks at the sources themselves: format, size, and that includes point one way. One line for each
check, `ok NAME` or `not ok NAME`, with what is wrong above it."""

import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
MAXIMUM_LINES = 800
FOLDERS = ("analysis", "common", "config", "controlplane", "dataplane", "deploy", "perf", "replay", "tests")
CPP = (".h", ".cc")

# The way of the arrows (ARCHITECTURE.md): what a folder may include beside itself.
CONTROLPLANE = ("language", "patterns", "ruleset", "history", "compiler", "log", "metrics", "service", "cli")
DATAPLANE = ("contract", "packet", "route", "sockets", "classify", "state", "table", "payload", "program", "forward",
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
        if folder == "controlplane/cli" and top in ("analysis", "replay"):
            return True
        if top == "controlplane":
            part = folder.split("/")[1]
            return CONTROLPLANE.index(included.split("/")[1]) <= CONTROLPLANE.index(part)
        return top == "config" or included.startswith("dataplane/contract/")
    return top not in ("analysis", "dataplane", "controlplane", "replay", "tests", "perf")


def check_arrows():
    wrong = []
    for path in sources(CPP):
        folder = str(path.parent.relative_to(TREE))
        if folder.split("/")[0] in ("analysis", "replay", "tests", "perf"):
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


def words_of(page):
    """A manual page as it is read, without overstrikes."""
    done = subprocess.run(["mandoc", "-T", "ascii", str(page)], capture_output=True, text=True)
    return " ".join(re.sub(".\b", "", done.stdout).split())


def check_settings_page():
    """Every key that the loader reads is described in its section of sluice.toml(5)."""
    source = (TREE / "config/settings.cc").read_text()
    page = (TREE / "deploy/man/sluice.toml.5").read_text()
    parts = re.split(r"^\.Sy (\S+)(?: ,)?$", page, flags=re.MULTILINE)
    sections = {title.strip("[]"): set(re.findall(r"[\w-]+", " ".join(
        re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE))))
        for title, text in zip(parts[1::2], parts[2::2])}
    wrong, keys = [], 0
    for name, body in re.findall(r"^void read_(\w+)\(TableReader reader.*?\{(.*?)^\}", source,
                                 re.MULTILINE | re.DOTALL):
        if name not in (*sections, "port"):
            wrong.append(f"sluice.toml.5 has no section [{name}]")
            continue
        for key in re.findall(r'(?:reader\.\w+\(|read_\w+\(reader, )"(\w+)"', body):
            keys += 1
            if key not in sections.get(name, ()):
                wrong.append(f"sluice.toml.5 does not describe {key} in [{name}]")
    return wrong or ([] if keys > 30 else [f"only {keys} keys are found in settings.cc"])


def check_missing_table():
    """What support.cc refuses stands under `Missing` in ipfw(8)."""
    refused = re.findall(r"\{Construct::(\w+),", (TREE / "controlplane/compiler/support.cc").read_text())
    names = dict(re.findall(r'\{C::(\w+), "([^"]+)"',
                            (TREE / "controlplane/language/construct.cc").read_text()))
    text = words_of(TREE / "deploy/man/ipfw.8")
    table = text[text.rindex("COMPATIBILITY"):]
    table = table[table.index("Missing"):table.index("SEE ALSO")]
    wrong = []
    for construct in refused:
        keyword = re.sub(r"^(action|option) | tablearg$", "", names[construct])
        keyword = keyword.replace("lookup of jail", "lookup jail")
        if not re.search(rf"(?<![\w-]){re.escape(keyword)}(?![\w-])", table):
            wrong.append(f"ipfw.8 does not name {keyword!r} under Missing")
    return wrong or ([] if len(refused) > 10 else ["support.cc cannot be read"])


def check_drop_reasons_of_the_overview():
    """The reasons that sluice(7) names exist."""
    known = re.findall(r'^\s*\{"(\w+)",', (TREE / "dataplane/contract/drop_reason.h").read_text(),
                       re.MULTILINE)
    page = (TREE / "deploy/man/sluice.7").read_text()
    page = page[page.index(".Sh WHEN SOMETHING FAILS"):page.index(".Sh FILES")]
    named = re.findall(r"^\.Ql (\w+)", page, re.MULTILINE)
    return [f"sluice.7 names the reason {name}, which does not exist" for name in named
            if name not in known] + ([] if len(named) > 10 else ["sluice.7 names no reasons"])


def main():
    good = True
    for check in (check_format, check_size, check_arrows, check_dpdk, check_http, check_open_ends,
                  check_manual_pages, check_settings_page, check_missing_table,
                  check_drop_reasons_of_the_overview):
        wrong = check()
        for line in wrong:
            print("   ", line)
        print("not ok" if wrong else "ok", check.__name__.removeprefix("check_"))
        good = good and not wrong
    return 0 if good else 1


sys.exit(main())
