"""What all parts of perf/run share: words for the terminal, precedence, medians, tables, and the
machine."""

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path


def log(text):
    print(text, file=sys.stderr, flush=True)


def take_precedence():
    """Before whatever else runs here: by nice, and by the group of the terminal, which counts first
    where the kernel groups by it."""
    os.nice(-20)
    try:
        Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass


class Figure:
    """Median, least and greatest of some values."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.least, self.greatest = min(values), max(values)

    def text(self, form):
        return f"{form.format(self.median)} ({form.format(self.least)}–{form.format(self.greatest)})"


def machine():
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text).group(1)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    compiler = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True).stdout
    return (f"{os.cpu_count()} CPUs ({model}), {memory >> 20} GiB, Linux {platform.release()}, "
            f"g++ {compiler.strip()}, load average before the run {os.getloadavg()[0]:.1f}")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def origin(command):
    """Where and how a part was measured: to be called before the load of the measuring itself."""
    return f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}. {machine()}."


MARK = "<!-- part: {} -->\n"


def write_part(path, name, text):
    """Writes one part of the report and leaves the others as they are. The first part has no name
    and ends where the first mark stands."""
    old = path.read_text() if path.exists() else "# Measurements\n\n"
    pieces = re.split(MARK.format("(.*?)").replace("\n", "\\n"), old)
    first, parts = pieces[0], dict(zip(pieces[1::2], pieces[2::2]))
    if name is None:
        first = text
    else:
        parts[name] = text
    path.write_text(first.rstrip() + "\n" + "".join(
        "\n" + MARK.format(part) + body.rstrip() + "\n" for part, body in parts.items()))
