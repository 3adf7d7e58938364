"""Daemons of other people that run on the appliance itself: an SSH server, and FRRouting, which learns
routes by OSPF from a router behind the gateway and gives them to the kernel."""

import contextlib
import getpass
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from lab.network import eventually

pytestmark = pytest.mark.waits

BEHIND = "203.0.113.9"  # an address of B's, which only B's OSPF tells of
BEHIND6 = "2001:db8:9::9"
FRR = Path("/usr/lib/frr")

needs_ssh = pytest.mark.skipif(not (shutil.which("sshd") and shutil.which("ssh")),
                               reason="there is no ssh (Debian package openssh-server)")
needs_frr = pytest.mark.skipif(not (FRR / "ospfd").exists(),
                               reason="there is no FRRouting (Debian package frr)")


@needs_ssh
def test_ssh_to_the_gateway(routed, gateway, tmp_path):
    """A session from either side, by IPv4 and IPv6, as far as the rules allow it."""
    keys = {}
    for name in ("host", "user"):
        keys[name] = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys[name])],
                       check=True)
    authorized = tmp_path / "authorized"
    shutil.copy(f"{keys['user']}.pub", authorized)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = routed.middle.start(
        shutil.which("sshd"), "-D", "-f", "/dev/null", "-h", str(keys["host"]),
        "-o", f"AuthorizedKeysFile={authorized}", "-o", "StrictModes=no", "-o", "UsePAM=no",
        "-o", "PermitRootLogin=prohibit-password", "-o", f"PidFile={tmp_path}/pid")

    def said(host, address):
        done = host.run("ssh", "-F", "none", "-i", str(keys["user"]), "-o", "BatchMode=yes",
                        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                        "-o", "ConnectTimeout=3", f"{getpass.getuser()}@{address}",
                        "echo from the gateway; seq 20000 | tail -n 1")
        return done.stdout.split("\n")[:2]

    whole = ["from the gateway", "20000"]
    try:
        assert eventually(lambda: said(routed.a, routed.router_a4) == whole, 15)
        assert said(routed.a, routed.router_a6) == whole
        assert said(routed.b, routed.router_a4) == whole
        gateway.load("add 100 allow tcp from any to me 22 in recv em0 setup keep-state\n"
                     "add 200 deny tcp from any to me 22\n"
                     "add 300 allow ip from any to any\n")
        assert said(routed.a, routed.router_a4) == whole
        assert said(routed.b, routed.router_b4) == [""]
        assert gateway.counters(100)[0] > 20 and gateway.counters(200)[0] > 0
    finally:
        server.terminate()
        server.wait(10)


class Router:
    """zebra, ospfd and ospf6d in a namespace, with files of their own."""

    def __init__(self, host, interface, router_id, folder, passive=()):
        self.host, self.folder, self.children = host, folder, []
        folder.mkdir()
        shutil.chown(folder, "frr", "frr")  # as whom they run
        common = f"hostname {folder.name}\n"
        areas4 = "".join(f"interface {name}\n ip ospf area 0\n ip ospf hello-interval 1\n"
                         f" ip ospf dead-interval 4\n" for name in (interface, *passive))
        areas6 = "".join(f"interface {name}\n ipv6 ospf6 area 0.0.0.0\n ipv6 ospf6 hello-interval 1\n"
                         f" ipv6 ospf6 dead-interval 4\n" for name in (interface, *passive))
        self._start("zebra", common)
        assert eventually((folder / "zserv").exists, 15), self.said()
        self._start("ospfd", f"{common}{areas4}router ospf\n ospf router-id {router_id}\n")
        self._start("ospf6d", f"{common}{areas6}router ospf6\n ospf6 router-id {router_id}\n")

    def _start(self, daemon, text):
        settings = self.folder / f"{daemon}.conf"
        settings.write_text(text)
        with open(self.folder / f"{daemon}.out", "wb") as output:
            self.children.append(self.host.start(
                str(FRR / daemon), "-f", str(settings), "-i", str(self.folder / f"{daemon}.pid"),
                "-z", str(self.folder / "zserv"), "--vty_socket", str(self.folder), "-P", "0",
                "--log", "stdout", stdout=output, stderr=output))

    def said(self):
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*.out"))

    def close(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait(10)


@needs_frr
def test_routes_by_ospf(routed, gateway):
    """They come, packets go by them, and they go when the neighbour is silent."""
    routed.b.ip("link", "add", "behind", "type", "veth", "peer", "name", "farther")
    try:
        for interface in ("behind", "farther"):
            routed.b.ip("link", "set", interface, "up")
        routed.b.ip("address", "add", BEHIND + "/32", "dev", "behind")
        routed.b.ip("address", "add", BEHIND6 + "/128", "dev", "behind", "nodad")
        assert not routed.a.ping(BEHIND, seconds=1)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-frr-")))
            folder.chmod(0o755)
            ours = Router(routed.middle, "em1", "192.0.2.2", folder / "ours")
            stack.callback(ours.close)
            theirs = Router(routed.b, "eth0", "198.51.100.3", folder / "theirs", ["behind"])
            stack.callback(theirs.close)
            assert eventually(lambda: routed.a.ping(BEHIND, seconds=1), 40), (
                routed.middle.ip("route") + ours.said() + theirs.said())
            assert eventually(lambda: routed.a.ping(BEHIND6, seconds=1), 40), (
                routed.middle.ip("-6", "route") + ours.said() + theirs.said())
            assert "proto ospf" in routed.middle.ip("route", "show", BEHIND)
            # OSPF needs the rules' leave as anything else.
            gateway.load("add 100 deny 89 from any to any\nadd 200 allow ip from any to any\n")
            assert eventually(lambda: not routed.a.ping(BEHIND, seconds=1), 20)
            assert gateway.counters(100)[0] > 0
    finally:
        routed.b.ip("link", "del", "behind")
