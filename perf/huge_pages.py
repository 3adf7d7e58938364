"""Huge pages for a while."""

from pathlib import Path

from figures import log

PAGES = Path("/proc/sys/vm/nr_hugepages")
MB_A_PAGE = 2


class HugePages:
    """Reserves as many 2 MiB pages as are missing, and puts their number back afterwards. `enough`
    is whether the kernel had them."""

    def __init__(self, megabytes):
        self.wanted = megabytes // MB_A_PAGE
        self.before = self.reserved = None
        self.enough = False

    def __enter__(self):
        try:
            self.before = int(PAGES.read_text())
            if self._free() < self.wanted:
                PAGES.write_text(str(self.before + self.wanted - self._free()))
            self.reserved = int(PAGES.read_text())
            self.enough = self._free() >= self.wanted
        except OSError:
            pass
        if not self.enough:
            self._restore()
        return self

    def __exit__(self, *_):
        if self.enough and (now := int(PAGES.read_text())) != self.reserved:
            log(f"perf: somebody else has changed the number of huge pages meanwhile, from "
                f"{self.reserved} to {now}: where a program did not start, that may be why")
        self._restore()

    def _free(self):
        folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
        return int((folder / "free_hugepages").read_text())

    def _restore(self):
        if self.before is not None:
            try:
                PAGES.write_text(str(self.before))
            except OSError:
                pass
