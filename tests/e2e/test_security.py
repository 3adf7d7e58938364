"""Who may do what on the control socket, and what is written down about it."""

import os
import re
import stat
import subprocess

import pytest
from lab import Appliance
from lab.network import eventually

READER, OPERATOR, ADMIN, STRANGER = "daemon", "games", "mail", "nobody"
ROLES = {"read": [READER], "operate": [OPERATOR], "admin": [ADMIN]}

LIST = ["list"]
ZERO = ["zero"]
TABLE = ["table", "blocked", "create"]
ADD = ["add", "100", "count", "ip", "from", "any", "to", "any"]
SYSCTL = ["sysctl", "net.inet.ip.fw.verbose=0"]
FLUSH = ["-f", "flush"]


@pytest.fixture
def guarded(own_bed, build):
    with Appliance(own_bed.middle, build, control=ROLES) as appliance:
        os.chmod(appliance.directory, 0o755)
        yield appliance


def ipfw_as(appliance, user, *arguments):
    return subprocess.run(["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups",
                           str(appliance.ipfw_program), *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, cwd="/", env=appliance.environment(),
                          timeout=30)


def audit_lines(appliance):
    return [line for line in appliance.output("controlplane").splitlines() if " audit: " in line]


def test_roles(guarded):
    guarded.start()
    assert stat.S_IMODE(os.stat(guarded.control_socket).st_mode) == 0o666
    allowed = {READER: [LIST], OPERATOR: [LIST, ZERO, TABLE],
               ADMIN: [LIST, ZERO, ADD, SYSCTL, FLUSH]}
    refused = {READER: [ZERO, TABLE, ADD, SYSCTL, FLUSH], OPERATOR: [ADD, SYSCTL, FLUSH],
               STRANGER: [LIST, ZERO, TABLE, ADD, SYSCTL, FLUSH]}
    for user, commands in allowed.items():
        for command in commands:
            done = ipfw_as(guarded, user, *command)
            assert done.returncode == 0, (user, command, done.stderr)
    before = guarded.must("list")
    for user, commands in refused.items():
        for command in commands:
            done = ipfw_as(guarded, user, *command)
            assert done.returncode == 77, (user, command, done.stderr)
            assert "permission denied" in done.stderr
    assert guarded.must("list") == before
    assert "needs the role admin" in ipfw_as(guarded, READER, *ADD).stderr
    # A rule file is as much as its worst line.
    rules = guarded.rule_file("zero\nadd 5 count ip from any to any\n")
    rules.chmod(0o644)
    assert ipfw_as(guarded, OPERATOR, "-q", str(rules)).returncode == 77
    assert guarded.must("list") == before


def test_every_change_has_a_line(guarded):
    guarded.start()
    lines = len(audit_lines(guarded))
    assert ipfw_as(guarded, ADMIN, *ADD).returncode == 0
    assert ipfw_as(guarded, ADMIN, *LIST).returncode == 0
    assert ipfw_as(guarded, READER, *FLUSH).returncode == 77
    assert ipfw_as(guarded, ADMIN, "delete", "777").returncode == 69
    assert guarded.ipfw("add", "200", "count", "ip", "from", "any", "to", "any", "//",
                        'x" status=0').status == 0
    new = audit_lines(guarded)[lines:]
    assert len(new) == 4, new
    added, denied, failed, odd = new
    fields = re.search(r"uid=(\d+) user=(\S+) pid=(\d+) role=(\S+) generation=(\d+)->(\d+) "
                       r'status=(\d+) did="([^"]*)"$', added)
    assert fields, added
    assert fields.group(2, 4, 7) == (ADMIN, "admin", "0")
    assert fields.group(8) == "add 100 count ip from any to any"
    assert int(fields.group(6)) == int(fields.group(5)) + 1
    assert f"user={READER} " in denied and "status=77" in denied and 'did="flush"' in denied
    assert "status=69" in failed and 'did="delete 777"' in failed
    assert "user=root" in odd and odd.count('"') == 2 and "x\\x22 status=0" in odd


def test_a_file_of_its_own(own_bed, build, tmp_path):
    path = tmp_path / "audit.log"
    with Appliance(own_bed.middle, build, directory=tmp_path,
                   control={"audit_log": path}) as appliance:
        appliance.start()
        assert stat.S_IMODE(os.stat(appliance.control_socket).st_mode) == 0o660
        appliance.must("add", "100", "count", "ip", "from", "any", "to", "any")
        assert 'did="add 100 count ip from any to any"' in path.read_text().splitlines()[-1]
        path.rename(path.with_suffix(".1"))
        os.kill(appliance.controlplane.pid, 1)
        assert eventually(path.exists, 5)
        appliance.must("-f", "flush")
        assert 'did="flush"' in path.read_text()


def test_lookers_leave_places_for_admins(guarded):
    """Those who may only look can take all their places, and root still gets through."""
    guarded.start()
    program = ("import socket, sys, time\n"
               "held = []\n"
               "for _ in range(64):\n"
               "    held.append(socket.socket(socket.AF_UNIX))\n"
               "    held[-1].connect(sys.argv[1])\n"
               "print('held', flush=True)\n"
               "sys.stdin.read()\n")
    holder = subprocess.Popen(["setpriv", f"--reuid={READER}", "--regid=nogroup", "--clear-groups",
                               "/usr/bin/python3", "-c", program, str(guarded.control_socket)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        refused = ipfw_as(guarded, OPERATOR, *LIST)
        assert refused.returncode == 69 and "too many clients" in refused.stderr
        assert guarded.ipfw("list").status == 0
    finally:
        holder.communicate()
