"""The rule files that come with Sluice are read, carried out, and do what their first lines say."""

import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "config/examples"
FILES = sorted(EXAMPLES.glob("*.rules"))
# The types of FreeBSD's rc.firewall.
TYPES = {"open", "client", "simple", "closed", "workstation"}


def test_the_types_of_rc_firewall_are_there():
    assert TYPES <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_is_read(build, file):
    done = subprocess.run([str(build / "controlplane/cli/ipfw"), "-n", str(file)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_is_carried_out(appliance, file):
    """The data plane takes it; a bridge is enough, what is routed finds no packets there."""
    appliance.must("-q", str(file))
    rules = [line for line in file.read_text().splitlines() if line.startswith("add ")]
    assert len(appliance.must("list").splitlines()) == len(rules) + 1


def test_open_lets_through_and_closed_does_not(bed, appliance):
    appliance.must("-q", EXAMPLES / "open.rules")
    assert bed.a.ping(bed.b.ipv4, 2)
    assert appliance.counters(1020)[0] == 4
    appliance.load((EXAMPLES / "closed.rules").read_text())
    assert not bed.a.ping(bed.b.ipv4, 1)
    assert appliance.counters(65000)[0] > 0
