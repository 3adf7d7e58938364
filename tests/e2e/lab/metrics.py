"""The exposition format of Prometheus, taken apart."""

import re

METRICS_URL = "http://127.0.0.1:9655/metrics"
_SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Metrics:
    """`samples`: (name, labels, value)."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if line.startswith("# "):
                continue
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            found = {key: re.sub(r'\\.', lambda escape: _ESCAPES[escape.group()], text)
                     for key, text in _LABEL.findall(labels or "")}
            self.samples.append((name, found, float(value)))

    def all(self, name, **labels):
        """(labels, value) of the series with this name and at least these labels."""
        wanted = {key: str(value) for key, value in labels.items()}
        return [(found, value) for at, found, value in self.samples
                if at == name and wanted.items() <= found.items()]

    def value(self, name, **labels):
        """Of the one series with this name and at least these labels."""
        found = self.all(name, **labels)
        if len(found) != 1:
            raise LookupError(f"{len(found)} series {name} {labels}")
        return found[0][1]

    def sum(self, name, **labels):
        return sum(value for _, value in self.all(name, **labels))
