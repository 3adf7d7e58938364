"""The programs that are compared: Sluice's bridge, dpdk-testpmd and l3fwd. Each has the same ports,
runs one thread that polls on a CPU of its own, and is asked for its own port statistics."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from lab import Appliance, Namespace, PortSettings  # noqa: E402
from lab.network import eventually, stop  # noqa: E402

from rules import ALLOW_ALL, L3FWD_IPV6, to_ipfw, to_l3fwd  # noqa: E402

# By how much, of a window, packets and CPU time may have been read at different times.
MISALIGNED = 0.01
L3FWD_SOURCE = Path("/usr/share/dpdk/examples/l3fwd")


@dataclass
class Lab:
    """Where and with what all of them run."""

    build: Path
    cpu: int                 # of the (first) forwarding thread
    other_cpu: int
    huge_pages: bool
    devices: list = field(default_factory=list)   # DPDK's words, an even number: pairs of ports
    buffers: int = 16384     # that a receive queue may ask for
    memory_mb: int = 256
    workers: int = 1

    def cpus(self):
        return [self.cpu, self.other_cpu][:self.workers]


@dataclass
class Rate:
    received: float          # packets for each second of CPU time of a forwarding thread
    share_sent: float        # of these that went out again


class Here:
    """Starts processes where the script runs, as a namespace of the lab would."""

    @staticmethod
    def start(*command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, **options)


def threads(process, *names):
    """Ids of the threads of a process that are called so."""
    found = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        if (thread / "comm").read_text().startswith(names):
            found.append(thread)
    return found


def seconds_used(found):
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in found) / 1e9


class Program:
    """What can be measured: `port_statistics` are sums over all ports, (received, sent)."""

    def forwarding_threads(self):
        raise NotImplementedError

    def port_statistics(self):
        raise NotImplementedError

    def rate(self, seconds):
        found = self.forwarding_threads()
        allowed = MISALIGNED * seconds * len(found)
        before, used_before = self._sample(found, allowed)
        time.sleep(seconds)
        after, used_after = self._sample(found, allowed)
        received, sent = (late - early for early, late in zip(before, after))
        if received == 0:
            raise SystemExit(f"perf: {type(self).__name__} receives nothing")
        return Rate(received / ((used_after - used_before) / len(found)), sent / received)

    def _sample(self, found, allowed):
        """Port statistics, and the CPU time at which they held. Whoever reads may lose his CPU between
        the two while the program goes on; such a pair would give a wrong rate and is read again."""
        for _ in range(50):
            early = seconds_used(found)
            statistics = self.port_statistics()
            late = seconds_used(found)
            if late - early <= allowed:
                return statistics, (early + late) / 2
        raise SystemExit("perf: the machine is too busy to read packets and CPU time together")


class Sluice(Program):
    stateful = False  # what is loaded makes states

    def __init__(self, lab, states=1024):
        # Names of ports, as rules may say them.
        names = [f"em{i}" for i in range(len(lab.devices))]
        self._start(Here(), lab, [PortSettings(name, {"peer": names[i ^ 1]}, device) for i, (
            name, device) in enumerate(zip(names, lab.devices))], states)

    def _start(self, where, lab, ports, states):
        self.workers = lab.workers
        self.ports = len(ports)
        self.appliance = Appliance(
            where, lab.build, ports=ports,
            dataplane={"idle": "poll", "cpus": lab.cpus(), "workers": lab.workers,
                       "huge_pages": lab.huge_pages, "memory_mb": lab.memory_mb,
                       "receive_descriptors": lab.buffers, "states": states},
            controlplane={"default_action": "accept"})
        try:
            self.appliance.start()
        except BaseException:
            self.close()
            raise

    def load(self, rules):
        """No rules at all: rule 65535 lets everything pass."""
        self.appliance.load(to_ipfw(rules) if rules else "")

    def forwarding_threads(self):
        found = threads(self.appliance.dataplane.pid, "lcore-worker", "rte-worker")
        if len(found) != self.workers:
            raise SystemExit(f"perf: the data plane has {len(found)} workers")
        return found

    def port_statistics(self):
        ports = self.appliance.port_counters(self.ports)
        return (sum(port["received_packets"] for port in ports),
                sum(port["sent_packets"] for port in ports))

    def close(self):
        self.appliance.close()


class Gateway(Sluice):
    """Sluice as a router: everything leaves by port 1, to one neighbour. In a network namespace of its
    own, as its ports have interfaces there."""

    NEIGHBOUR, MAC = "172.31.1.2", "02:00:00:00:00:99"

    def __init__(self, lab):
        self.namespace = Namespace(f"sluice-perf-{os.getpid()}")
        try:
            addresses = (["172.31.0.1/24"], ["172.31.1.1/24"])
            self._start(self.namespace, lab, [PortSettings(f"em{i}", {"gateway": True}, device, own)
                                              for i, (device, own) in enumerate(zip(lab.devices,
                                                                                    addresses))], 1024)
            self.namespace.ip("neighbour", "replace", self.NEIGHBOUR, "lladdr", self.MAC, "dev", "em1",
                              "nud", "permanent")
            self.namespace.ip("route", "add", "default", "via", self.NEIGHBOUR)
            time.sleep(0.5)
        except BaseException:
            self.namespace.close()
            raise

    def close(self):
        super().close()
        self.namespace.close()


class DoesNotForward(SystemExit):
    pass


class DpdkProgram(Program):
    """One that is asked over DPDK's telemetry socket."""

    def __init__(self, name, lab, command, eal, arguments, thread_names):
        self.prefix = f"sluice-perf-{name}-{os.getpid()}"
        self.ports = range(len(lab.devices))
        self.thread_names = thread_names
        self.output = tempfile.TemporaryFile("w+")
        memory = (["--in-memory"] if lab.huge_pages else
                  ["--no-huge", "-m", str(lab.memory_mb)])
        vdevs = [word for device in lab.devices for word in ("--vdev", device)]
        self.child = Here.start(command, *eal, *memory, *vdevs, "--no-pci", "--iova-mode=va",
                                "--log-level", "*:error",
                                "--file-prefix", self.prefix, "--", *arguments,
                                stdin=subprocess.PIPE, stdout=self.output, stderr=self.output)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connected = False
        eventually(lambda: self.child.poll() is not None or self._forwards(), 90)
        if self.child.poll() is not None or not self._forwards():
            self.output.seek(0)
            said = self.output.read()[-2000:]
            self.close()
            raise DoesNotForward(f"perf: {command} does not forward:\n{said}")

    def _forwards(self):
        """Asked until it does: the socket is there before the ports are."""
        try:
            if not self.connected:
                self.socket.connect(f"/var/run/dpdk/{self.prefix}/dpdk_telemetry.v2")
                self.socket.recv(65536)
                self.connected = True
            return self.port_statistics()[0] > 0
        except (OSError, KeyError, TypeError, ValueError):
            return False

    def _ask(self, question):
        self.socket.send(question.encode())
        return json.loads(self.socket.recv(65536))[question.split(",")[0]]

    def forwarding_threads(self):
        return threads(self.child.pid, *self.thread_names)

    def port_statistics(self):
        answers = [self._ask(f"/ethdev/stats,{port}") for port in self.ports]
        return (sum(each["ipackets"] for each in answers),
                sum(each["opackets"] for each in answers))

    def close(self):
        self.socket.close()
        stop(self.child)
        self.output.close()
        # --in-memory leaves the folder of its sockets.
        shutil.rmtree(f"/var/run/dpdk/{self.prefix}", ignore_errors=True)


class TestPmd(DpdkProgram):
    """Changes the two hardware addresses, and sends: the least that a bridge can do to a packet."""

    def __init__(self, lab):
        cores = [f"{i + 1}@{cpu}" for i, cpu in enumerate(lab.cpus())]
        super().__init__("testpmd", lab, "dpdk-testpmd",
                         ["--lcores", ",".join([f"0@{lab.other_cpu}", *cores])],
                         ["--forward-mode", "macswap", "--auto-start", "--no-mlockall",
                          "--nb-cores", str(lab.workers), "--rxq", str(lab.workers),
                          "--txq", str(lab.workers), "--stats-period", "3600",
                          "--total-num-mbufs", str(len(lab.devices) * lab.buffers)],
                         ("lcore-worker", "rte-worker"))


class L3fwd(DpdkProgram):
    """DPDK's example of a router; everything allowed leaves by port 1. With access control lists, or
    without, by longest prefix."""

    # There can be no route of length 0.
    ROUTES4 = "R0.0.0.0/1 1\nR128.0.0.0/1 1\n"
    ROUTES6 = "R2000:0:0:0:0:0:0:0/3 1\n"

    @classmethod
    def by_prefix(cls, lab, program):
        return cls(lab, program, ["--lookup=lpm"], cls.ROUTES4, cls.ROUTES6)

    @classmethod
    def by_rules(cls, lab, program, rules, method):
        return cls(lab, program, ["--lookup=acl", "--alg", method],
                   to_l3fwd(rules or [ALLOW_ALL], 1), L3FWD_IPV6)

    def __init__(self, lab, program, mode, table4, table6):
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-perf-"))
        (self.folder / "rules4").write_text(table4)
        (self.folder / "rules6").write_text(table6)
        ports = range(len(lab.devices))
        super().__init__("l3fwd", lab, str(program),
                         ["-l", str(lab.cpu), "--force-max-simd-bitwidth=512"],
                         ["-P", "-p", f"0x{(1 << len(ports)) - 1:x}", *mode,
                          "--config", ",".join(f"({port},0,{lab.cpu})" for port in ports),
                          "--rule_ipv4", str(self.folder / "rules4"),
                          "--rule_ipv6", str(self.folder / "rules6"),
                          "--parse-ptype", "--rx-queue-size", str(lab.buffers)],
                         ("l3fwd",))

    def forwarding_threads(self):
        """Its main thread forwards."""
        return [Path(f"/proc/{self.child.pid}/task/{self.child.pid}")]

    def close(self):
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def build_l3fwd(folder):
    """The program, made of Debian's copy of DPDK's source; None: it is not installed. Virtual
    devices have no checksum offload, which it would insist on."""
    if not L3FWD_SOURCE.exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "l3fwd"
    for part in ("l3fwd", "common"):
        shutil.copytree(L3FWD_SOURCE.parent / part, folder / "source" / part, dirs_exist_ok=True)
    main = folder / "source/l3fwd/main.c"
    text = main.read_text()
    wanted = ".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM"
    if wanted not in text:
        raise SystemExit(f"perf: {main} does not set the offload as expected: {wanted}")
    main.write_text(text.replace(wanted, ".offloads = 0"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True,
                           text=True, check=True).stdout.split()
    done = subprocess.run(["gcc", "-O3", "-w", "-DALLOW_EXPERIMENTAL_API",
                           *map(str, sorted((folder / "source/l3fwd").glob("l3fwd_*.c"))), str(main),
                           "-I", str(folder / "source/common"), "-o", str(program), *flags],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"perf: l3fwd does not build:\n{done.stderr[-2000:]}")
    return program
