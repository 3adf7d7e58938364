"""A command that goes on until somebody ends it: `ipfw tail` and its like."""

import os
import signal
import subprocess
import threading

from .network import eventually


class Following:
    """Use it as a context manager. `lines` grows while the command prints."""

    def __init__(self, appliance, *arguments):
        self.process = subprocess.Popen(
            [str(appliance.ipfw_program), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=appliance.environment(), cwd=appliance.directory)
        self.lines = []
        self.complaints = []
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines),
                                     (self.process.stderr, self.complaints))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def become(self, count, seconds=5):
        """Whether there are so many lines in time."""
        return eventually(lambda: len(self.lines) >= count, seconds)

    def end(self, sent=signal.SIGINT, seconds=10):
        """The exit status."""
        if sent is not None and self.process.poll() is None:
            os.kill(self.process.pid, sent)
        status = self.process.wait(seconds)
        for reader in self.readers:
            reader.join(seconds)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
