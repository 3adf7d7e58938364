"""Network namespaces, and the bed that the appliance stands in.

    host A                      appliance                     host B
    eth0 ---- veth pair ---- em0  [bridge]  em1 ---- veth pair ---- eth0

The interfaces are made inside the namespaces, so nothing is seen of them outside.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()


def _ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def namespaces_work():
    """None, or a sentence that says why there can be no lab here."""
    if os.geteuid() != 0:
        return "the lab needs root"
    name = f"sluice-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
        finally:
            _ip("netns", "del", name)
    except (RuntimeError, FileNotFoundError) as error:
        return f"network namespaces or veth do not work here ({error})"
    return None


def twins_work():
    """None, or a sentence that says why there can be no gateway here: its ports have TAP interfaces, and
    the kernel is kept out of the interfaces that they read."""
    if reason := namespaces_work():
        return reason
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"there are no TAP interfaces here ({error})"
    name = f"sluice-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
            for command in (("qdisc", "add", "dev", "probe0", "clsact"),
                            ("filter", "add", "dev", "probe0", "ingress", "bpf", "da", "bytecode",
                             "1,6 0 0 2")):
                done = subprocess.run(["ip", "netns", "exec", name, "tc", *command],
                                      capture_output=True, text=True)
                if done.returncode != 0:
                    return f"tc takes no bpf filter here ({done.stderr.strip()})"
        finally:
            _ip("netns", "del", name)
    except RuntimeError as error:
        return str(error)
    return None


class Namespace:
    def __init__(self, name):
        self.name = name
        self.children = []
        _ip("netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        return _ip("-n", self.name, *arguments)

    def run(self, *command, timeout=60, **options):
        """Runs a command to its end; text in, text out."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(["ip", "netns", "exec", self.name, *command], capture_output=True,
                              text=True, timeout=timeout, **options)

    def start(self, *command, **options):
        """Starts a command that `close` will end; `ip netns exec` becomes it, so its pid is the
        command's."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        child = subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)
        self.children.append(child)
        return child

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace meanwhile; sockets made here stay in it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(there)
            os.close(home)

    def ping(self, address, count=1, *options, seconds=2):
        """True when every echo request was answered."""
        done = self.run("ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", str(seconds),
                        *options, address)
        return f" {count} received" in done.stdout

    def retransmits(self):
        """TCP segments that this namespace has sent again."""
        names, values = (line.split() for line in self.run("cat", "/proc/net/snmp").stdout.splitlines()
                         if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")])

    def close(self):
        for child in self.children:
            stop(child)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)


def stop(child, sent=signal.SIGTERM, seconds=10):
    """Ends a child; its exit status, or None where it had to be killed."""
    if child.poll() is None:
        child.send_signal(sent)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return None
    return child.returncode


def eventually(condition, seconds=10.0):
    """Waits until the condition holds; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


class Host(Namespace):
    """An end of the bed."""

    def __init__(self, name, mac, ipv4, ipv6):
        super().__init__(name)
        self.mac = mac
        self.ipv4 = ipv4
        self.ipv6 = ipv6

    def listen(self, port, text="hello\n"):
        """A web server that answers everything with `text`; returns when it listens."""
        program = os.path.join(os.path.dirname(__file__), "web_server.py")
        child = self.start("/usr/bin/python3", program, str(port), text, stdout=subprocess.PIPE)
        if child.stdout.readline() != b"listening\n":
            raise RuntimeError(f"no web server on port {port} of {self.name}")
        return child

    def curl(self, url, *options, seconds=3):
        return self.run("curl", "--silent", "--show-error", "--max-time", str(seconds), *options,
                        url)


class Bed:
    """Host A, the appliance's namespace, host B; both hosts in one IPv4 and one IPv6 network."""

    PREFIX4, PREFIX6 = "192.0.2.", "fd7a:803f:cc4b::"

    def __init__(self, mtu=1500):
        suffix = f"{os.getpid()}-{next(_serial)}"
        self.mtu = mtu
        self.parts = []
        try:
            self._make(suffix)
        except BaseException:
            self.close()
            raise

    def _make(self, suffix):
        self.a = self._add(Host(f"sluice-a-{suffix}", "02:00:00:00:00:0a", self.PREFIX4 + "2",
                                self.PREFIX6 + "2"))
        self.b = self._add(Host(f"sluice-b-{suffix}", "02:00:00:00:00:0b", self.PREFIX4 + "1",
                                self.PREFIX6 + "1"))
        self.middle = self._add_middle(suffix)
        self._connect(self.a, "em0")
        self._connect(self.b, "em1")

    def _add(self, part):
        self.parts.append(part)
        return part

    def _add_middle(self, suffix):
        return self._add(Namespace(f"sluice-x-{suffix}"))

    def _connect(self, host, port, mtu=None):
        mtu = str(mtu or self.mtu)
        host.ip("link", "add", "eth0", "address", host.mac, "mtu", mtu, "type", "veth",
                "peer", "name", port, "netns", self.middle.name, "mtu", mtu)
        # The appliance's side is no host: no link-local address, no router solicitations.
        if int(mtu) >= 1280:
            self.middle.ip("link", "set", port, "addrgenmode", "none")
        for place, interface in ((host, "eth0"), (self.middle, port)):
            # Unfinished checksums and super-packets exist only between sockets of one machine.
            for feature in ("tx", "rx", "gso", "tso", "gro", "lro", "rxvlan", "txvlan"):
                place.run("ethtool", "-K", interface, feature, "off")
            place.ip("link", "set", interface, "up")
        host.ip("address", "add", host.ipv4 + "/24", "dev", "eth0")
        if int(mtu) >= 1280:
            host.ip("address", "add", host.ipv6 + "/64", "dev", "eth0", "nodad")

    def static_neighbours(self):
        """The hosts know each other's hardware address and need not ask."""
        for here, there in ((self.a, self.b), (self.b, self.a)):
            for address in (there.ipv4, there.ipv6):
                here.ip("neighbour", "replace", address, "lladdr", there.mac, "dev", "eth0",
                        "nud", "permanent")

    def retransmit_only_losses(self):
        """TCP of the hosts waits for two seconds before it sends anything again. Else it does so as
        well when an answer is late, because somebody is waiting for a CPU."""
        for host in (self.a, self.b):
            host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/tcp_early_retrans")
            host.ip("route", "replace", self.PREFIX4 + "0/24", "dev", "eth0", "src", host.ipv4,
                    "rto_min", "2s")

    def retransmits(self):
        """TCP segments that either host has sent again."""
        return self.a.retransmits() + self.b.retransmits()

    def forget_neighbours(self):
        for host in (self.a, self.b):
            host.ip("neighbour", "flush", "dev", "eth0", "nud", "all")

    def close(self):
        for part in reversed(self.parts):
            part.close()
        self.parts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
