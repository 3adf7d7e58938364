"""The systemd units: what they allow, that they are installed, and that the daemons do as they say.

systemd is not there to start them. So the test does what it would do: it runs ExecStart as an
unprivileged user with the unit's capabilities, listens on NOTIFY_SOCKET, and sets WATCHDOG_USEC.
"""

import configparser
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from lab import Appliance, Frozen
from lab.network import eventually, stop

TREE = Path(__file__).resolve().parents[2]
UNITS = ("sluice-dataplane", "sluice-controlplane", "sluice-rules")
MOST_EXPOSED = 1.5
USER = "nobody"


@pytest.fixture(scope="module")
def installed(build, tmp_path_factory):
    """What `meson install` puts where, below a folder."""
    folder = tmp_path_factory.mktemp("installed")
    done = subprocess.run(["meson", "install", "-C", str(build), "--no-rebuild", "--destdir",
                           str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def find(installed, name):
    found = [path for path in installed.rglob(name) if path.is_file()]
    assert len(found) == 1, (name, found)
    return found[0]


class Unit:
    def __init__(self, path, drop_in=None):
        parser = configparser.ConfigParser(strict=False, interpolation=None,
                                           empty_lines_in_values=False)
        parser.optionxform = str
        parser.read([str(path), *([str(drop_in)] if drop_in else [])])
        self.service = dict(parser["Service"])

    def seconds(self, key):
        return int(self.service[key])


# ---- What is installed -----------------------------------------------------------------------------

def test_everything_is_installed(installed):
    for name in (*(f"{unit}.service" for unit in UNITS), "sluice-dataplane", "sluice-controlplane",
                 "ipfw", "sluice-setup", "sluice.toml", "linux-interfaces.conf", "sluice.rules.yml",
                 "60-sluice.conf", "60-sluice.rules", "workstation.rules", "ipfw.8",
                 "sluice.toml.5"):
        assert find(installed, name).stat().st_size > 0
    for folder in ("sysusers.d", "tmpfiles.d"):
        assert len(list(installed.rglob(f"{folder}/sluice.conf"))) == 1
    assert len(list(installed.rglob("logrotate.d/sluice"))) == 1
    assert os.access(find(installed, "sluice-setup"), os.X_OK)


def test_units_start_what_is_installed(installed):
    for unit in UNITS:
        text = find(installed, f"{unit}.service").read_text()
        assert "@" not in text.replace("SystemCallFilter=@", "").replace("~@", "").replace(" @", "")
        for line in re.findall(r"^Exec\w+=(/\S+)", text, re.MULTILINE):
            assert line == "/bin/kill" or (installed / line.lstrip("/")).exists(), line


def test_the_installed_settings_are_the_defaults_but_for_three(installed):
    ours = (TREE / "config/sluice.toml").read_text().splitlines()
    theirs = find(installed, "sluice.toml").read_text().splitlines()
    differing = [line for line, other in zip(theirs, ours) if line != other]
    assert len(ours) == len(theirs)
    assert [line.split(" = ")[0] for line in differing] == ["control_group", "log_file", "audit_log"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_exposure(installed, unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           str(find(installed, f"{unit}.service"))], capture_output=True, text=True)
    figure = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert figure, done.stdout + done.stderr
    assert float(figure[1]) <= MOST_EXPOSED


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="there is no systemd-sysusers")
def test_users_and_folders(installed, tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    for name, target in (("sysusers.d", "usr/lib/sysusers.d"), ("tmpfiles.d", "usr/lib/tmpfiles.d")):
        (root / target).mkdir(parents=True)
        source, = installed.rglob(f"{name}/sluice.conf")
        shutil.copy(source, root / target)
    for command in (["systemd-sysusers", f"--root={root}", "sluice.conf"],
                    ["systemd-tmpfiles", f"--root={root}", "--create", "sluice.conf"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    user = re.search(r"^sluice:[^:]*:(\d+):(\d+):", (root / "etc/passwd").read_text(), re.MULTILINE)
    assert user and int(user[1]) != 0
    log = (root / "var/log/sluice").stat()
    assert (log.st_uid, log.st_mode & 0o777) == (int(user[1]), 0o750)
    assert (root / "var/lib/sluice").stat().st_mode & 0o777 == 0o700


# ---- What the daemons do ---------------------------------------------------------------------------

class Started:
    """A daemon, started as its unit says, and what it tells the service manager."""

    def __init__(self, bed, unit, program, config, folder, watchdog_s):
        path = folder / f"{program.name}.notify"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener.bind(str(path))
        path.chmod(0o666)
        self.listener.settimeout(0.05)
        command = shlex.split(unit.service["ExecStart"])
        assert Path(command[0]).name == program.name
        assert command[1] == "--config" and len(command) == 3
        rights = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in
                         unit.service.get("AmbientCapabilities", "").split())
        self.output = folder / f"{program.name}.out"
        with open(self.output, "ab") as output:
            self.process = bed.middle.start(
                "setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "--no-new-privs",
                f"--bounding-set=-all{rights}", f"--inh-caps=-all{rights}",
                f"--ambient-caps=-all{rights}", str(program), "--config", str(config),
                stdout=output, stderr=output,
                env={**os.environ, "NOTIFY_SOCKET": str(path),
                     "WATCHDOG_USEC": str(watchdog_s * 1_000_000)})

    def heard(self, seconds):
        """What it says in this time."""
        said, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                said.append(self.listener.recv(4096).decode())
            except TimeoutError:
                pass
        return said

    def await_word(self, word, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if word in self.listener.recv(4096).decode().splitlines():
                    return True
            except TimeoutError:
                pass
        return False

    def said(self):
        return self.output.read_text(errors="replace")

    def pid(self):
        """Of the daemon itself, whatever it was started by."""
        return self.process.pid

    def threads(self):
        return {int(task.name): (task / "comm").read_text().strip()
                for task in Path(f"/proc/{self.pid()}/task").iterdir()}


@pytest.fixture
def rehearsal(own_bed, build, installed, tmp_path):
    """start(unit, watchdog) for daemons whose files are the user's."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    appliance = Appliance(own_bed.middle, build, directory=tmp_path,
                          control={"audit_log": tmp_path / "audit.log"}, dataplane={"workers": 2})
    shutil.chown(tmp_path, USER, "nogroup")
    programs = {"sluice-dataplane": appliance.dataplane_program,
                "sluice-controlplane": appliance.controlplane_program}
    started = []

    def start(name, watchdog_s=1):
        drop_in = find(installed, "linux-interfaces.conf") if name == "sluice-dataplane" else None
        unit = Unit(find(installed, f"{name}.service"), drop_in)
        assert unit.service["Type"] == "notify" and unit.seconds("WatchdogSec") > 0
        daemon = Started(own_bed, unit, programs[name], appliance.config, tmp_path, watchdog_s)
        started.append(daemon)
        assert daemon.await_word("READY=1", 30), daemon.said()
        return daemon

    start.appliance = appliance
    yield start
    for daemon in started:
        stop(daemon.process)
        daemon.listener.close()


def capabilities(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return {name: int(value, 16) for name, value in re.findall(r"Cap(\w+):\s+([0-9a-f]+)", text)}


def test_both_daemons_as_their_units_start_them(rehearsal):
    dataplane = rehearsal("sluice-dataplane")
    controlplane = rehearsal("sluice-controlplane")
    assert eventually(rehearsal.appliance.connected, 15), (
        dataplane.said() + controlplane.said() + rehearsal.appliance.ipfw("list").text)
    rehearsal.appliance.must("add", "100", "allow", "ip", "from", "any", "to", "any")
    for daemon in (dataplane, controlplane):
        for thread in daemon.threads():
            status = Path(f"/proc/{daemon.pid()}/task/{thread}/status").read_text()
            # Every thread: no rights, no way to get any, and the filter unless a sanitizer is in.
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), status
            assert re.search(r"^CapPrm:\s+0+$", status, re.MULTILINE), status
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
            if "no system call filter" not in daemon.said():
                assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE), status
            assert not re.search(r"^Uid:.*\b0\b", status, re.MULTILINE)
    # Fed, both of them, about four times in a period.
    for daemon in (dataplane, controlplane):
        assert daemon.heard(2).count("WATCHDOG=1") >= 3
    for daemon in (controlplane, dataplane):
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.await_word("STOPPING=1", 10)
        assert daemon.process.wait(10) == 0, daemon.said()


def test_one_worker_that_hangs_is_enough(rehearsal):
    dataplane = rehearsal("sluice-dataplane")
    assert dataplane.await_word("WATCHDOG=1", 5)
    workers = [thread for thread, name in dataplane.threads().items() if "worker" in name]
    assert len(workers) == 2, dataplane.threads()
    with Frozen(workers[1]):
        dataplane.heard(0.5)  # what was on its way
        assert "WATCHDOG=1" not in dataplane.heard(1.5)
    assert dataplane.await_word("WATCHDOG=1", 5)


def test_a_main_thread_that_hangs_is_enough(rehearsal):
    dataplane = rehearsal("sluice-dataplane")
    assert dataplane.await_word("WATCHDOG=1", 5)
    with Frozen(dataplane.pid()):
        dataplane.heard(0.5)
        assert "WATCHDOG=1" not in dataplane.heard(1.5)


def test_user_of_the_settings(own_bed, build):
    """Started as root, the daemons become the user that the settings name."""
    with Appliance(own_bed.middle, build, dataplane={"user": USER},
                   controlplane={"user": USER}) as appliance:
        shutil.chown(appliance.directory, USER)
        appliance.start()
        appliance.must("add", "100", "count", "ip", "from", "any", "to", "any")
        for daemon in (appliance.dataplane, appliance.controlplane):
            assert capabilities(daemon.pid)["Prm"] == 0
            status = Path(f"/proc/{daemon.pid}/status").read_text()
            assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
        appliance.log_file.rename(appliance.directory / "ipfw.log.1")
        os.kill(appliance.controlplane.pid, signal.SIGHUP)
        assert eventually(appliance.log_file.exists, 5)


def test_a_user_that_nobody_is(own_bed, build):
    with Appliance(own_bed.middle, build, dataplane={"user": "no-such-user"}) as appliance:
        with pytest.raises(RuntimeError, match="there is no user no-such-user"):
            appliance.start_dataplane()


def test_gateway_keeps_one_capability(gateway):
    """It must make lost twins again, and ask for neighbours."""
    caps = capabilities(gateway.dataplane.pid)
    assert caps["Eff"] == caps["Prm"] == 1 << 12
