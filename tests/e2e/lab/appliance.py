"""The two daemons, in the middle namespace of a bed, and the `ipfw` command that drives them.

Everything that they read and write is in one temporary directory. What the data plane counts is read
as the control plane reads it: from the counter file of the contract (dataplane/contract/counters.h).
"""

import mmap
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .metrics import METRICS_URL, Metrics
from .network import eventually, stop

SOURCE = Path(__file__).resolve().parents[3]
COUNTER_MAGIC = 0x31544E4343554C53
COUNTER_HEADER = struct.Struct("<QIIIIQQ")  # magic, version, workers, slots, -, offset, stride
WORKER_COUNTERS = ("heartbeat", "generation", "bursts", "log_dropped", "replies_sent",
                   "replies_limited", "non_ip", "states", "unanswered_states", "parents",
                   "states_made", "keepalives_sent", "handed_over", "misdirected",
                   "handover_waits", "fragments_kept", "datagrams_reassembled", "routed",
                   "to_host", "from_host", "errors_sent", "waited_for_neighbour", "flooded",
                   "diverted", "teed", "injected", "without_state", "log_limited",
                   "payload_scans", "payload_bytes", "payload_matches", "payload_flows",
                   "payload_kept", "payload_restarted", "payload_skips_budget",
                   "payload_skips_no_flow", "payload_skips_no_stream", "payload_skips_mid_flow",
                   "payload_skips_gap")
DROPS_OFFSET = 48 * 8
DROPS_ROOM = 64
PORTS_OFFSET = DROPS_OFFSET + DROPS_ROOM * 8
PORT_COUNTERS = ("received_packets", "received_bytes", "sent_packets", "sent_bytes",
                 "dropped_packets")
PORT_STRIDE = 64


def drop_labels():
    """The names of the drop reasons, from the one list that there is."""
    text = (SOURCE / "dataplane/contract/drop_reason.h").read_text()
    table = text[text.index("kDropReasonTexts"):]
    return re.findall(r'^\s*\{"(\w+)",', table, re.MULTILINE)


@dataclass
class Finished:
    """What came of an `ipfw` command."""

    status: int
    out: str
    err: str

    @property
    def text(self):
        return self.out + self.err


@dataclass
class PortSettings:
    """`role` is what [[port]] says besides: {"peer": NAME}, {"bridge": NAME}, {"gateway": True}."""

    name: str
    role: dict
    device: str
    addresses: list = field(default_factory=list)
    mtu: int = None


def bridge_of(interfaces=("em0", "em1")):
    """Settings of a bridge between two interfaces of the namespace."""
    first, second = interfaces
    return [PortSettings(first, {"peer": second}, f"net_af_packet0,iface={first}"),
            PortSettings(second, {"peer": first}, f"net_af_packet1,iface={second}")]


def gateway_of(ports):
    """Settings of a gateway: {port: (interface, addresses)}."""
    return [PortSettings(name, {"gateway": True}, f"net_af_packet{i},iface={interface}", addresses)
            for i, (name, (interface, addresses)) in enumerate(ports.items())]


def learning_bridge_of(interfaces):
    return [PortSettings(name, {"bridge": "lan"}, f"net_af_packet{i},iface={name}")
            for i, name in enumerate(interfaces)]


class Appliance:
    def __init__(self, namespace, build, mtu=1500, ports=None, directory=None, dataplane=None,
                 reply=None, controlplane=None, metrics=None, control=None):
        self.namespace = namespace
        self.build = Path(build)
        self.own_directory = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="sluice-lab-"))
        self.control_socket = self.directory / "control.sock"
        self.dataplane_socket = self.directory / "dataplane.sock"
        self.divert_socket = self.directory / "divert.sock"
        self.config = self.directory / "sluice.toml"
        self.log_file = self.directory / "ipfw.log"
        self.dataplane = None
        self.controlplane = None
        self.counter_file = None
        self._write_settings(ports or bridge_of(), mtu, dataplane or {}, reply or {},
                             controlplane or {}, metrics or {}, control or {})

    # ---- Settings ------------------------------------------------------------------------------

    def _write_settings(self, ports, mtu, dataplane, reply, controlplane, metrics, control):
        sections = {
            "dataplane": {"socket": self.dataplane_socket,
                          "divert_socket": self.divert_socket, "workers": 1, "idle": "backoff",
                          "huge_pages": False, "memory_mb": 256, "slot_capacity": 32768,
                          **dataplane},
            "reply": reply,
            "controlplane": {"control_socket": self.control_socket, "log_file": self.log_file,
                             "syslog": False, **controlplane},
            "metrics": metrics,
            "control": {"state_directory": self.directory / "state", **control},
        }
        lines = []
        for name, keys in sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {_toml(value)}" for key, value in keys.items()]
            lines.append("")
        for port in ports:
            lines += ["[[port]]", f"name = {_toml(port.name)}", f"device = {_toml(port.device)}",
                      *(f"{key} = {_toml(value)}" for key, value in port.role.items()),
                      f"mtu = {port.mtu or mtu}", f"addresses = {_toml(port.addresses)}", ""]
        self.config.write_text("\n".join(lines))

    # ---- Processes -----------------------------------------------------------------------------

    @property
    def dataplane_program(self):
        return self.build / "dataplane/app/sluice-dataplane"

    @property
    def controlplane_program(self):
        return self.build / "controlplane/service/sluice-controlplane"

    @property
    def ipfw_program(self):
        return self.build / "controlplane/cli/ipfw"

    def output(self, daemon):
        """What a daemon ("dataplane", "controlplane") has said on its terminal."""
        path = self.directory / f"{daemon}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start(self, daemon, program, seconds=30):
        """Starts a daemon and waits until it says that it is ready, as a service manager does."""
        notices = self.directory / f"{daemon}.notify"
        notices.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, open(
                self.directory / f"{daemon}.out", "ab") as output:
            listener.bind(str(notices))
            notices.chmod(0o666)  # the daemon may become somebody else
            listener.settimeout(0.1)
            process = self.namespace.start(str(program), "--config", str(self.config),
                                           stdout=output, stderr=output,
                                           env={**os.environ, "NOTIFY_SOCKET": str(notices)})
            end = time.monotonic() + seconds
            while time.monotonic() < end and process.poll() is None:
                try:
                    if b"READY=1" in listener.recv(4096):
                        return process
                except TimeoutError:
                    pass
        raise RuntimeError(f"{daemon} does not get ready (exit status {process.poll()}):\n"
                           f"{self.output(daemon)}")

    def start_dataplane(self):
        self.dataplane = self._start("dataplane", self.dataplane_program)

    def start_controlplane(self):
        self.controlplane = self._start("controlplane", self.controlplane_program)

    def start(self):
        """Both, connected: a rule that is added now is carried out at once."""
        self.start_dataplane()
        self.start_controlplane()
        self.await_connection()

    def connected(self):
        # The value that it has anyhow; refused while there is no data plane.
        return self.ipfw("-q", "sysctl", "net.inet6.ip6.fw.permit_single_frag6=1").status == 0

    def await_connection(self, seconds=15):
        if not eventually(self.connected, seconds):
            raise RuntimeError("the daemons did not find each other:\n" + self.output("dataplane") +
                               self.output("controlplane"))

    def stop_dataplane(self, sent=signal.SIGTERM):
        status, self.dataplane = stop(self.dataplane, sent), None
        return status

    def stop_controlplane(self, sent=signal.SIGTERM):
        status, self.controlplane = stop(self.controlplane, sent), None
        return status

    def running(self):
        return all(daemon is not None and daemon.poll() is None
                   for daemon in (self.dataplane, self.controlplane))

    def close(self):
        for daemon in (self.controlplane, self.dataplane):
            if daemon is not None:
                stop(daemon)
        reports = self._sanitizer_reports()
        forbidden = [line for daemon in ("dataplane", "controlplane")
                     for line in self.output(daemon).splitlines() if ": system call " in line]
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if reports:
            raise RuntimeError("what the sanitizers say:\n" + reports)
        if forbidden:
            raise RuntimeError("system calls that the filters do not know:\n" + "\n".join(forbidden))

    def _sanitizer_reports(self):
        """Of daemons that are built with sanitizers; else there are none."""
        outputs = [self.output(daemon) for daemon in ("dataplane", "controlplane")]
        return "\n".join(output for output in outputs
                         if "Sanitizer" in output or "runtime error:" in output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- The command ---------------------------------------------------------------------------

    def environment(self):
        return {**os.environ, "SLUICE_CONTROL_SOCKET": str(self.control_socket), "LC_ALL": "C",
                "TZ": "UTC"}

    def ipfw(self, *arguments, stdin=None, terminal=False, timeout=60):
        """Runs `ipfw`. Its standard input is empty, the text `stdin`, or with `terminal` a terminal
        on which nobody types."""
        command = [str(self.ipfw_program), *map(str, arguments)]
        options = {"capture_output": True, "text": True, "timeout": timeout,
                   "env": self.environment(), "cwd": self.directory}
        if terminal:
            ours, theirs = pty.openpty()
            try:
                if stdin is not None:
                    os.write(ours, stdin.encode())
                done = subprocess.run(command, stdin=theirs, **options)
            finally:
                os.close(ours)
                os.close(theirs)
        elif stdin is not None:
            done = subprocess.run(command, input=stdin, **options)
        else:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, **options)
        return Finished(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments):
        """Runs `ipfw` where a failure is none of the test's business; its output."""
        done = self.ipfw(*arguments)
        if done.status != 0:
            raise RuntimeError(f"ipfw {' '.join(map(str, arguments))}: exit {done.status}\n"
                               f"{done.text}")
        return done.out

    def rule_file(self, text, name="rules"):
        path = self.directory / name
        path.write_text(text)
        return path

    def load(self, text):
        """Replaces the ruleset by these lines, as a rule file does it."""
        self.must("-q", self.rule_file("-f flush\n" + text, "loaded.rules"))

    def reset(self):
        """As after a fresh start: no rules, sysctls at their defaults, an empty log."""
        self.must("-q", "-f", "flush")
        self.must("-q", "delete", "set", "31")
        self.must("-q", "set", "enable", *range(31))
        for name, value in (("verbose", 1), ("verbose_limit", 0), ("autoinc_step", 100),
                            ("enable", 1)):
            self.must("-q", "sysctl", f"net.inet.ip.fw.{name}={value}")
        self.must("-q", "zero")
        if self.log_file.exists():
            os.truncate(self.log_file, 0)

    # ---- Metrics -------------------------------------------------------------------------------

    def exposition(self):
        """What Prometheus would get, as text."""
        done = self.namespace.run("curl", "--silent", "--show-error", "--fail", "--max-time", "10",
                                  METRICS_URL)
        if done.returncode != 0:
            raise RuntimeError(f"no metrics: {done.stderr.strip()}")
        return done.stdout

    def metrics(self):
        return Metrics(self.exposition())

    # ---- What it counts and logs ---------------------------------------------------------------

    def counters(self, rule):
        """(packets, bytes) of the first rule with this number."""
        for line in self.must("show", rule).splitlines():
            number, packets, octets = line.split()[:3]
            if int(number) == rule:
                return int(packets), int(octets)
        raise RuntimeError(f"there is no rule {rule}")

    def log_lines(self):
        """What the log says, from `ipfw: ` on."""
        if not self.log_file.exists():
            return []
        return [line[line.index("ipfw: "):] for line in self.log_file.read_text().splitlines()
                if "ipfw: " in line]

    def _counter_file(self):
        """(fields of the header, the mapped file): looked for once in the life of a data plane."""
        if self.counter_file is None or self.counter_file[0] != self.dataplane.pid:
            self.counter_file = self.dataplane.pid, self._find_counter_file()
        return self.counter_file[1]

    def _find_counter_file(self):
        process = f"/proc/{self.dataplane.pid}/fd"
        for number in os.listdir(process):
            path = f"{process}/{number}"
            try:
                if not os.readlink(path).startswith("/memfd:"):
                    continue
                with open(path, "rb") as file:
                    head = file.read(COUNTER_HEADER.size)
                    if len(head) < COUNTER_HEADER.size:
                        continue
                    fields = COUNTER_HEADER.unpack(head)
                    if fields[0] == COUNTER_MAGIC:
                        return fields, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            except OSError:
                continue
        raise RuntimeError("the data plane has no counter file")

    def dataplane_counters(self):
        """Sums over the workers: the fields of WorkerCounters, and `drops`, a dictionary by
        reason."""
        (_, _, workers, _, _, offset, stride), data = self._counter_file()
        sums = dict.fromkeys(WORKER_COUNTERS, 0)
        labels = drop_labels()
        drops = dict.fromkeys(labels, 0)
        for worker in range(workers):
            start = offset + worker * stride
            for name, value in zip(WORKER_COUNTERS, struct.unpack_from(
                    f"<{len(WORKER_COUNTERS)}Q", data, start)):
                sums[name] += value
            values = struct.unpack_from(f"<{DROPS_ROOM}Q", data, start + DROPS_OFFSET)
            for name, value in zip(labels, values):
                drops[name] += value
        return {**sums, "drops": drops}

    def port_counters(self, ports=2):
        """Sums over the workers: the fields of PortCounters, a dictionary for each port."""
        (_, _, workers, _, _, offset, stride), data = self._counter_file()
        sums = [dict.fromkeys(PORT_COUNTERS, 0) for _ in range(ports)]
        for worker in range(workers):
            for port in range(ports):
                start = offset + worker * stride + PORTS_OFFSET + port * PORT_STRIDE
                for name, value in zip(PORT_COUNTERS, struct.unpack_from(
                        f"<{len(PORT_COUNTERS)}Q", data, start)):
                    sums[port][name] += value
        return sums

    def resident_bytes(self):
        """The memory of the data plane that is really there."""
        status = Path(f"/proc/{self.dataplane.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))

    def state_count(self, *filters):
        return int(self.must("state", "count", *filters))

    def drops(self):
        return self.dataplane_counters()["drops"]


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
