"""What neighbours see of the links of ports while the data plane does not run."""

import re
import signal

import pytest
from lab import ALLOW, Appliance, Bed
from lab.network import eventually


@pytest.fixture(scope="module")
def own_bed():
    with Bed() as bed:
        yield bed


@pytest.fixture
def start(own_bed, build, tmp_path):
    appliances = []

    def started(**settings):
        appliance = Appliance(own_bed.middle, build, directory=tmp_path, dataplane=settings)
        appliances.append(appliance)
        appliance.start()
        appliance.load(ALLOW)
        return appliance

    yield started
    for appliance in appliances:
        appliance.close()
    for interface in ("em0", "em1"):
        own_bed.middle.ip("link", "set", interface, "up")


def carriers(bed):
    """Of both neighbours."""
    return [",LOWER_UP" in host.ip("-o", "link", "show", "eth0") for host in (bed.a, bed.b)]


def set_links(appliance, word):
    return appliance.namespace.run(appliance.dataplane_program, "--config", appliance.config,
                                   "--links", word)


def test_neighbours_go_by_the_link(own_bed, start, build):
    """As systemd does it: however the process has ended, ExecStopPost comes."""
    appliance = start(links_when_down="down")
    assert own_bed.a.ping(own_bed.b.ipv4) and carriers(own_bed) == [True, True]
    appliance.stop_dataplane(signal.SIGKILL)
    done = set_links(appliance, "down")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert eventually(lambda: carriers(own_bed) == [False, False])
    assert set_links(appliance, "down").returncode == 0, "once more does no harm"
    # It comes back by itself, whoever starts it.
    appliance.start_dataplane()
    assert eventually(lambda: carriers(own_bed) == [True, True])
    appliance.await_connection()
    assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4), 10)


def test_up_is_the_default_and_touches_nothing(own_bed, start):
    appliance = start()
    appliance.stop_dataplane(signal.SIGKILL)
    for word in ("down", "up"):
        assert set_links(appliance, word).returncode == 0
    assert carriers(own_bed) == [True, True]
    own_bed.middle.ip("link", "set", "em1", "down")
    assert set_links(appliance, "up").returncode == 0
    assert eventually(lambda: carriers(own_bed) == [True, False])


def test_what_goes_wrong_is_told_for_each_port(own_bed, start):
    appliance = start(links_when_down="down")
    appliance.stop_dataplane()
    text = appliance.config.read_text()
    appliance.config.write_text(text.replace("iface=em0", "iface=gone0"))
    done = set_links(appliance, "down")
    assert done.returncode == 71
    assert done.stderr == "sluice-dataplane: interface gone0 does not tell its flags: No such device\n"
    assert eventually(lambda: carriers(own_bed) == [True, False]), "the other one is down"
    appliance.config.write_text(text)
    assert set_links(appliance, "sideways").returncode == 64
    assert set_links(appliance, "up").returncode == 0
    assert eventually(lambda: carriers(own_bed) == [True, True])


def test_the_unit_says_so(build):
    text = (build / "deploy/linux-interfaces.conf").read_text()
    assert re.search(r"^ExecStopPost=\+/\S+/sluice-dataplane --config /\S+/sluice.toml --links down$",
                     text, re.MULTILINE), text
