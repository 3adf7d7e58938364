"""Fixtures of the end-to-end tests. SLUICE_BUILD names the build directory, else it is build/."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lab import ALLOW, Appliance, Bed, RoutedBed, namespaces_work, twins_work  # noqa: E402
from lab.network import eventually  # noqa: E402


def pytest_collection_modifyitems(items):
    reason = namespaces_work()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))
    elif reason := twins_work():
        for item in items:
            if "gateway" in item.nodeid or "gateway" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def build():
    tree = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("SLUICE_BUILD", tree / "build")).resolve()


@pytest.fixture(scope="session")
def shared_bed():
    with Bed() as bed:
        yield bed


@pytest.fixture(scope="session")
def shared_appliance(shared_bed, build):
    with Appliance(shared_bed.middle, build) as appliance:
        appliance.start()
        yield appliance


@pytest.fixture
def bed(shared_bed):
    # Questions that an earlier test left unanswered would fail in the middle of this one.
    shared_bed.forget_neighbours()
    return shared_bed


@pytest.fixture
def appliance(bed, shared_appliance):
    """A running appliance without rules. The test must leave both daemons alive."""
    shared_appliance.reset()
    yield shared_appliance
    assert shared_appliance.running(), (shared_appliance.output("dataplane") +
                                        shared_appliance.output("controlplane"))


@pytest.fixture
def own_bed():
    """A bed that the test may do anything to."""
    with Bed() as bed:
        yield bed


@pytest.fixture
def own_appliance(own_bed, build):
    """An appliance of the test's own, not started."""
    with Appliance(own_bed.middle, build) as appliance:
        yield appliance


# ---- states --------------------------------------------------------------------------------------

STATES = max(131072, int(os.environ.get("SLUICE_E2E_FLOWS", "0")) * 5 // 4)


@pytest.fixture(scope="session", params=[1, 2], ids=["1-worker", "2-workers"])
def shared_stateful(request, build):
    """With two workers every port has two queues, between which the kernel spreads the packets by a
    hash of its own: half of them come to the worker that does not own their flow."""
    with Bed() as bed:
        bed.static_neighbours()
        bed.retransmit_only_losses()
        with Appliance(bed.middle, build,
                       dataplane={"workers": request.param, "states": STATES}) as appliance:
            appliance.start()
            appliance.workers = request.param
            appliance.dynamic_sysctls = dynamic_sysctls(appliance)
            yield bed, appliance


def dynamic_sysctls(appliance):
    """Those about states that can be written: name, value."""
    found = {}
    for line in appliance.must("sysctl", "-a").splitlines():
        name, _, value = line.replace("=", ":").partition(":")
        if name.startswith("net.inet.ip.fw.dyn_") and not name.endswith(("_count", "_buckets")):
            found[name] = value.strip()
    assert "net.inet.ip.fw.dyn_max" in found
    return found


@pytest.fixture
def stateful(shared_stateful):
    """(bed, appliance): no rules, no states, and the sysctls as after a fresh start."""
    bed, appliance = shared_stateful
    appliance.reset()
    now = dynamic_sysctls(appliance)
    for name, value in appliance.dynamic_sysctls.items():
        if now[name] != value:
            appliance.must("-q", "sysctl", f"{name}={value}")
    assert eventually(lambda: appliance.dataplane_counters()["states"] == 0)
    handed_over = appliance.dataplane_counters()["handed_over"]
    yield bed, appliance
    assert appliance.running(), (appliance.output("dataplane") + appliance.output("controlplane"))
    if appliance.workers == 1:
        assert appliance.dataplane_counters()["handed_over"] == handed_over


# ---- Gateways ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def routed():
    """The bed of a gateway, one for each module."""
    with RoutedBed() as bed:
        yield bed


@pytest.fixture(scope="module", params=[1, 2], ids=["1-worker", "2-workers"])
def gateway_settings(request):
    """What the module's gateway is started with: arguments of Appliance. Modules that want something
    else have a fixture of this name."""
    return {"dataplane": {"workers": request.param}}


@pytest.fixture(scope="module")
def shared_gateway(routed, build, gateway_settings):
    with Appliance(routed.middle, build, ports=routed.ports(), **gateway_settings) as appliance:
        appliance.start()
        appliance.load(ALLOW)
        # The kernel makes sure first that nobody else has the addresses of its twins.
        assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)
        assert eventually(lambda: routed.a.ping(routed.b.ipv6, seconds=1), 15)
        yield appliance


@pytest.fixture
def gateway(shared_gateway):
    """A running gateway that lets everything pass. The test must leave both daemons alive."""
    shared_gateway.reset()
    shared_gateway.load(ALLOW)
    yield shared_gateway
    assert shared_gateway.running(), (shared_gateway.output("dataplane") +
                                      shared_gateway.output("controlplane"))
