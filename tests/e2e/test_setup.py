"""sluice-setup on a machine that a folder pretends to be.

What the kernel does when something is written to /sys is done by `Kernel`, a thread that reads named
pipes in place of the files: a card changes its driver when it is told to.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "deploy/sluice-setup"
FREE, USED, SSH = "0000:03:00.0", "0000:03:00.1", "0000:04:00.0"
ROUTES = ("Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
          "eth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
          "eth2\t000A000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
# 10.0.10.1:22 with 10.0.10.9, and a session that is over.
TCP = ("  sl  local_address rem_address   st\n"
       "   0: 010A000A:0016 090A000A:C350 01\n"
       "   1: 010A000A:0016 09030303:C350 06\n")


class Kernel:
    def __init__(self, root):
        self.root = root
        self.pci = root / "sys/bus/pci"
        self.pipes, self.threads = [], []

    def add_card(self, address, interface, driver="igb", node=0, kind="0x020000"):
        card = self.pci / "devices" / address
        card.mkdir(parents=True)
        (card / "class").write_text(kind + "\n")
        (card / "numa_node").write_text(f"{node}\n")
        (card / "driver_override").write_text("(null)\n")
        (card / "native").write_text(f"{driver} {interface}")
        self._attach(card, driver)

    def _attach(self, card, driver):
        (card / "driver").symlink_to(self.pci / "drivers" / driver)
        if driver != "vfio-pci":
            interface = card / "net" / (card / "native").read_text().split()[1]
            interface.mkdir(parents=True)
            (interface / "operstate").write_text("up\n")

    def _detach(self, card):
        (card / "driver").unlink()
        net = card / "net"
        if net.exists():
            subprocess.run(["rm", "-r", str(net)], check=True)

    def add_driver(self, name):
        folder = self.pci / "drivers" / name
        folder.mkdir(parents=True)
        self._pipe(folder / "unbind", lambda address: self._detach(self.pci / "devices" / address))

    def start(self):
        def probe(address):
            card = self.pci / "devices" / address
            wanted = (card / "driver_override").read_text().strip()
            if wanted in ("", "(null)"):
                wanted = (card / "native").read_text().split()[0]
            self._attach(card, wanted)
        self._pipe(self.pci / "drivers_probe", probe)

    def _pipe(self, path, act):
        os.mkfifo(path)
        done = path.with_name(path.name + ".done")

        def serve():
            while True:
                with open(path) as pipe:
                    text = pipe.read()
                if text == "stop":
                    return
                act(text)
                done.touch()

        self.pipes.append(path)
        self.threads.append(threading.Thread(target=serve, daemon=True))
        self.threads[-1].start()

    def stop(self):
        for pipe, thread in zip(self.pipes, self.threads):
            pipe.write_text("stop")
            thread.join(5)


class Machine:
    """A folder, and sluice-setup on it."""

    def __init__(self, root):
        self.root = root
        self.kernel = Kernel(root)
        (root / "proc/net").mkdir(parents=True)
        (root / "proc/net/route").write_text(ROUTES)
        (root / "proc/net/tcp").write_text(TCP)
        pages = root / "sys/kernel/mm/hugepages/hugepages-2048kB"
        pages.mkdir(parents=True)
        (pages / "nr_hugepages").write_text("3\n")
        node = root / "sys/devices/system/node/node1/hugepages/hugepages-2048kB"
        node.mkdir(parents=True)
        (node / "nr_hugepages").write_text("0\n")
        for driver in ("igb", "vfio-pci"):
            self.kernel.add_driver(driver)
        self.kernel.add_card(FREE, "eth0", node=1)
        self.kernel.add_card(USED, "eth1")
        self.kernel.add_card(SSH, "eth2")
        self.kernel.add_card("0000:00:02.0", "gpu0", kind="0x030000")
        self.kernel.start()
        self.journal = root / "var/lib/sluice/setup.journal"

    def run(self, *arguments, status=0):
        done = subprocess.run(["/usr/bin/python3", "-c", WITH_KERNEL, str(PROGRAM),
                               "--root", str(self.root), *arguments],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def driver(self, address):
        link = self.kernel.pci / "devices" / address / "driver"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else None

    def entries(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


# The program, whose writes to pipes wait until the kernel has acted, as real ones do.
WITH_KERNEL = r"""
import importlib.machinery, importlib.util, os, stat, sys, time
path = sys.argv[1]
loader = importlib.machinery.SourceFileLoader("setup", path)
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("setup", loader))
loader.exec_module(module)
write = module.Machine.write
def waiting(self, path, text):
    write(self, path, text)
    if stat.S_ISFIFO(os.stat(path).st_mode):
        done, end = str(path) + ".done", time.monotonic() + 10
        while not os.path.exists(done) and time.monotonic() < end:
            time.sleep(0.005)
        os.unlink(done)
module.Machine.write = waiting
sys.argv = ["sluice-setup", *sys.argv[2:]]
sys.exit(module.main())
"""


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    made.kernel.stop()


def test_show(machine):
    rows = {line.split()[0]: line for line in machine.run("show").splitlines()}
    assert rows[FREE].split()[1:] == ["igb", "1", "eth0", "up", "-"]
    assert rows[USED].endswith("it carries the default route")
    assert rows[SSH].endswith("an ssh session goes through it")
    assert "0000:00:02.0" not in rows
    assert "huge pages of 2 MiB: 3" in machine.run("show")


def test_bind_and_unbind(machine):
    assert f"{FREE}: igb -> vfio-pci" in machine.run("bind", "eth0")
    assert machine.driver(FREE) == "vfio-pci"
    assert machine.entries() == [{"do": "bind", "address": FREE, "driver": "igb"}]
    assert "already" in machine.run("bind", FREE)
    assert len(machine.entries()) == 1
    assert f"{FREE}: vfio-pci -> igb" in machine.run("unbind", "03:00.0")
    assert machine.driver(FREE) == "igb"
    assert not machine.journal.exists()
    assert "has not vfio-pci but igb" in machine.run("unbind", FREE)


@pytest.mark.parametrize("address, reason", [(USED, "it carries the default route"),
                                             (SSH, "an ssh session goes through it")])
def test_what_is_in_use_stays(machine, address, reason):
    # All or none: the free one is not taken either.
    assert reason in machine.run("bind", FREE, address, status=69)
    assert machine.driver(FREE) == machine.driver(address) == "igb"
    assert not machine.journal.exists()
    machine.run("bind", "--force", address)
    assert machine.driver(address) == "vfio-pci"


def test_a_part_of_what_is_in_use_stays(machine):
    """A card below a bond or a bridge that has the default route."""
    (machine.kernel.pci / "devices" / FREE / "net/eth0/upper_br0").mkdir()
    (machine.root / "proc/net/route").write_text(ROUTES.replace("eth1\t0", "br0\t0"))
    assert "default route" in machine.run("bind", FREE, status=69)


def test_ipv6_counts_too(machine):
    (machine.root / "proc/net/ipv6_route").write_text(
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} 00000400 0 0 00000003 eth0\n")
    assert "default route" in machine.run("bind", FREE, status=69)
    (machine.root / "proc/net/ipv6_route").write_text(
        f"20010db8{'0' * 24} 20 {'0' * 32} 00 {'0' * 32} 00000400 0 0 00000001 eth0\n")
    machine.run("bind", FREE)
    machine.run("unbind", FREE)
    (machine.root / "proc/net/tcp6").write_text(
        "  sl local remote st\n"
        "   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C350 01\n")
    assert "ssh session" in machine.run("bind", FREE, status=69)
    # An IPv4 peer of a socket that takes both.
    (machine.root / "proc/net/tcp6").write_text(
        "  sl local remote st\n"
        "   0: 0000000000000000FFFF0000010A000A:0016 0000000000000000FFFF0000090A000A:C350 01\n")
    (machine.root / "proc/net/tcp").write_text("")
    assert "ssh session" in machine.run("bind", SSH, status=69)
    machine.run("bind", FREE)


def test_huge_pages_and_undo(machine):
    assert "3 -> 64" in machine.run("hugepages", "64")
    assert "on node 1: 0 -> 8" in machine.run("hugepages", "8", "--node", "1")
    machine.run("bind", FREE)
    assert [entry["do"] for entry in machine.entries()] == ["hugepages", "hugepages", "bind"]
    machine.run("undo")
    assert machine.driver(FREE) == "igb"
    pages = machine.root / "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
    assert int(pages.read_text()) == 3
    assert not machine.journal.exists()
    assert "nothing to undo" in machine.run("undo")
    assert "no huge pages" in machine.run("hugepages", "1", "--node", "7", status=65)


def test_undo_of_a_card_that_is_gone(machine):
    machine.run("bind", FREE)
    machine.run("bind", "--force", USED)
    subprocess.run(["rm", "-r", str(machine.kernel.pci / "devices" / USED)], check=True)
    assert "not there any more" in machine.run("undo")
    assert machine.driver(FREE) == "igb"


def test_check(machine):
    config = machine.root / "sluice.toml"
    config.write_text('[dataplane]\nmemory_mb = 64\n'
                      f'[[port]]\nname = "a"\ndevice = "{FREE}"\npeer = "b"\n'
                      '[[port]]\nname = "b"\ndevice = "net_af_packet0,iface=eth9"\npeer = "a"\n')
    found = machine.run("check", "--config", str(config), status=1)
    assert "3 huge pages of 2 MiB are reserved, and memory_mb wants 32" in found
    assert f"port a: {FREE} has igb, not vfio-pci" in found
    assert "port b: there is no interface eth9" in found
    assert "port b needs more rights" in found
    machine.run("hugepages", "32")
    machine.run("bind", FREE)
    (machine.root / "sys/class/net/eth9").mkdir(parents=True)
    folder = machine.root / "etc/systemd/system/sluice-dataplane.service.d"
    folder.mkdir(parents=True)
    (folder / "linux-interfaces.conf").write_text("")
    assert machine.run("check", "--config", str(config)) == "ready\n"
    assert "has no [[port]]" in machine.run("check", "--config", os.devnull, status=1)
    assert "cannot read" in machine.run("check", "--config", "/no/such/file", status=65)


def test_words_that_are_wrong(machine):
    machine.run(status=64)
    machine.run("bind", status=64)
    machine.run("hugepages", "-1", status=64)
    machine.run("hugepages", "many", status=64)
    assert "no network card" in machine.run("bind", "eth77", status=65)
    os.rename(machine.kernel.pci / "drivers/vfio-pci", machine.root / "aside")
    assert "modprobe vfio-pci" in machine.run("bind", FREE, status=69)
    os.rename(machine.root / "aside", machine.kernel.pci / "drivers/vfio-pci")


def test_only_root_changes_things(machine):
    for path in (machine.root, *machine.root.parents):
        if path != Path("/tmp").parent:
            path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", "/usr/bin/python3",
                           str(PROGRAM), "--root", str(machine.root), "bind", FREE],
                          capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode == 77 and "only root" in done.stderr
