"""The Debian packages: built from the build that is tested, installed, upgraded, removed and purged.

The throw-away root is this machine with an empty layer on top, in a mount namespace: what dpkg and the
maintainer scripts write is gone with the test. systemd does not run there; a `systemctl` that only
writes down what it is told stands in for it.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
NEEDED = ("dpkg-buildpackage", "dpkg-deb", "unshare", "deb-systemd-helper")

pytestmark = [pytest.mark.waits,
              pytest.mark.skipif(not all(map(shutil.which, NEEDED)),
                                 reason="needs " + ", ".join(NEEDED))]

SYSTEMCTL = """#!/bin/sh
echo "$@" >>/var/log/systemctl.log
case "$*" in
*--root=*) exec /usr/bin/systemctl.real "$@" ;;  # links in /etc: that needs no systemd
*is-enabled*) echo enabled ;;
esac
exit 0
"""

# A root of our own, in which `sh -e SCRIPT` runs.
IN_ROOT = r"""
set -e
mkdir -p "$1/top"
mount -t tmpfs layer "$1/top"
mkdir "$1/top/upper" "$1/top/work" "$1/top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/top/upper,workdir=$1/top/work" "$1/top/root"
root=$1/top/root
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs run "$root/run"
mkdir -p "$root/run/systemd/system" "$root/packages"
cp "$root/usr/bin/systemctl" "$root/usr/bin/systemctl.real"
install -m 755 "$1/systemctl" "$root/usr/bin/systemctl"
rm -f "$root/usr/sbin/policy-rc.d"
cp "$1"/packages/*.deb "$root/packages"
install -m 644 "$1/script" "$root/script"
exec chroot "$root" /bin/sh -e /script
"""


@pytest.fixture(scope="module")
def packages(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    done = subprocess.run([str(TREE / "deploy/build-deb"), "--from", str(build), "--output",
                           str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def package(packages, name):
    found, = packages.glob(f"{name}_*.deb")
    return found


def field(path, name):
    return subprocess.run(["dpkg-deb", "--field", str(path), name], capture_output=True, text=True,
                          check=True).stdout.strip()


def contents(path):
    """{path: (mode, owner)}"""
    listing = subprocess.run(["dpkg-deb", "--contents", str(path)], capture_output=True, text=True,
                             check=True).stdout
    return {line.split()[5].lstrip("."): tuple(line.split()[:2]) for line in listing.splitlines()}


def in_root(packages, tmp_path, script):
    """Runs it as root of the throw-away machine; what it says."""
    shutil.copytree(packages, tmp_path / "packages")
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "script").write_text("export DEBIAN_FRONTEND=noninteractive LC_ALL=C\n" + script)
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_ROOT,
                           "sh", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout


# The newer version of an upgrade: the same files.
REPACK = """
newer() {
    dpkg-deb -R /packages/$1_*.deb /newer-$1
    sed -i 's/^Version: .*/Version: 99/; s/sluice-tools (= [^)]*)/sluice-tools (= 99)/' \
        /newer-$1/DEBIAN/control
    dpkg-deb -b /newer-$1 /newer-$1.deb >/dev/null
}
"""
INSTALL = "dpkg --force-depends -i /packages/*.deb\n"


def test_contents(packages):
    daemons, tools = package(packages, "sluice"), package(packages, "sluice-tools")
    ours = contents(daemons)
    for path in ("/usr/sbin/sluice-dataplane", "/usr/sbin/sluice-controlplane",
                 "/usr/sbin/sluice-setup", "/usr/lib/systemd/system/sluice-dataplane.service",
                 "/etc/sluice/sluice.toml", "/usr/share/doc/sluice/copyright",
                 "/usr/share/man/man5/sluice.toml.5.gz"):
        assert path in ours, path
    assert set(owner for _, owner in ours.values()) == {"root/root"}
    assert ours["/etc/sluice/sluice.toml"][0] == "-rw-r-----"
    theirs = contents(tools)
    assert "/usr/sbin/ipfw" in theirs and "/usr/libexec/sluice/sluice-patterns" in theirs
    assert "/usr/share/man/man8/ipfw.8.gz" in theirs
    assert not {path for path in set(ours) & set(theirs) if not path.endswith("/")}
    # A laptop can check rules without DPDK.
    assert "librte" not in field(tools, "Depends")
    assert "librte-ethdev" in field(daemons, "Depends")
    assert f"sluice-tools (= {field(tools, 'Version')})" in field(daemons, "Depends")
    assert not [path for path in (*ours, *theirs) if path.startswith("/usr/local")]


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_no_fault(packages):
    done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root",
                           *map(str, packages.glob("*.deb"))], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_completion_comes_with_the_command(packages):
    theirs = contents(package(packages, "sluice-tools"))
    for path in ("bash-completion/completions/ipfw.bash", "zsh/vendor-completions/_ipfw"):
        assert f"/usr/share/{path}" in theirs


def test_install_configures_and_starts_what_has_ports(packages, tmp_path):
    said = in_root(packages, tmp_path, INSTALL + """
getent passwd sluice
stat -c '%U %G %a' /var/log/sluice /var/lib/sluice /etc/sluice/sluice.toml
ls /etc/systemd/system/multi-user.target.wants
echo "--- systemctl"; cat /var/log/systemctl.log
echo "--- programs"
/usr/sbin/ipfw -n /usr/share/sluice/examples/workstation.rules >/dev/null
/usr/sbin/sluice-dataplane --version; /usr/sbin/sluice-controlplane --version
/usr/sbin/sluice-setup check || test $? = 1
""")
    assert re.search(r"^sluice:x:\d+:\d+:Sluice", said, re.MULTILINE)
    assert "sluice adm 750\nsluice sluice 700\nroot sluice 640\n" in said
    for unit in ("dataplane", "controlplane", "rules"):
        assert f"sluice-{unit}.service" in said
    # Without ports it would only fail: it says what to do.
    assert "write the ports into /etc/sluice/sluice.toml" in said
    assert "start sluice-dataplane" not in said.split("--- systemctl")[1].split("--- programs")[0]
    assert "has no [[port]]" in said


def test_install_starts_a_machine_that_has_its_settings(packages, tmp_path):
    said = in_root(packages, tmp_path, """
mkdir -p /etc/sluice
printf '[[port]]\\nname = "a"\\n' >/etc/sluice/sluice.toml
dpkg --force-depends --force-confold -i /packages/*.deb
echo "--- systemctl"; cat /var/log/systemctl.log
""")
    calls = said.split("--- systemctl")[1]
    assert re.search(r"^.*start sluice-dataplane.service sluice-controlplane.service", calls,
                     re.MULTILINE), said


def test_upgrade_does_not_stop_the_traffic(packages, tmp_path):
    said = in_root(packages, tmp_path, REPACK + INSTALL + """
echo '# mine' >>/etc/sluice/sluice.toml
newer sluice; newer sluice-tools
: >/var/log/systemctl.log
dpkg --force-depends --force-confdef --force-confold -i /newer-sluice-tools.deb /newer-sluice.deb
echo "--- systemctl"; cat /var/log/systemctl.log
echo "--- settings"; tail -n 1 /etc/sluice/sluice.toml
dpkg-query -W -f '${Version}\\n' sluice
""")
    calls = said.split("--- systemctl")[1].split("--- settings")[0]
    assert re.search(r"try-restart sluice-controlplane.service$", calls, re.MULTILINE), calls
    assert not re.search(r"(stop|restart|start) .*sluice-dataplane", calls), calls
    assert "goes on forwarding" in said
    assert "# mine\n99\n" in said.split("--- settings")[1]


def test_remove_and_purge(packages, tmp_path):
    said = in_root(packages, tmp_path, INSTALL + """
echo 'add 1 count ip from any to any' >/etc/sluice/ipfw.rules
: >/var/log/systemctl.log
dpkg --remove sluice
echo "--- systemctl"; cat /var/log/systemctl.log
echo "--- left"; ls /etc/sluice; test ! -e /usr/sbin/sluice-dataplane
dpkg --purge sluice sluice-tools
echo "--- purged"; ls /etc/sluice; ls /etc/systemd/system/multi-user.target.wants | grep sluice || true
test ! -e /var/lib/sluice; test ! -e /var/log/sluice; test ! -e /usr/sbin/ipfw
test ! -e /etc/logrotate.d/sluice
rm /etc/sluice/ipfw.rules
""")
    calls = said.split("--- systemctl")[1].split("--- left")[0]
    assert re.search(r"stop .*sluice-controlplane.service sluice-dataplane.service", calls), calls
    assert "sluice.toml" in said.split("--- left")[1].split("--- purged")[0]
    assert said.split("--- purged")[1].split() == ["ipfw.rules"]
