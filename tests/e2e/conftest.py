"""Fixtures of the end-to-end tests. SLUICE_BUILD names the build directory, else it is build/."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lab import Appliance, Bed, namespaces_work  # noqa: E402


def pytest_collection_modifyitems(items):
    reason = namespaces_work()
    if reason:
        for item in items:
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
