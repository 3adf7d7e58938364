"""A bridge of three ports that learns behind which of them a station is."""

import pytest
from lab import Appliance, Bed, Wire
from lab.appliance import learning_bridge_of
from lab.network import Host, eventually

PORTS = ("em0", "em1", "em2")
STRANGER = "02:00:00:00:00:77"


class ThreeHosts(Bed):
    def _make(self, suffix):
        hosts = [self._add(Host(f"sluice-{name}-{suffix}", f"02:00:00:00:00:0{name}",
                                f"{self.PREFIX4}{number}", f"{self.PREFIX6}{number}"))
                 for number, name in enumerate("abc", 1)]
        self.a, self.b, self.c = self.hosts = hosts
        self.middle = self._add_middle(suffix)
        for host, port in zip(hosts, PORTS):
            self._connect(host, port)


@pytest.fixture(scope="module")
def three():
    with ThreeHosts() as bed:
        yield bed


@pytest.fixture(scope="module", params=[1, 2], ids=["1-worker", "2-workers"])
def shared_lan(request, three, build):
    with Appliance(three.middle, build, ports=learning_bridge_of(PORTS),
                   dataplane={"workers": request.param, "flood_rate": 200}) as appliance:
        appliance.start()
        yield appliance


@pytest.fixture
def lan(shared_lan):
    shared_lan.reset()
    shared_lan.load("add 65000 allow ip from any to any\n")
    yield shared_lan
    assert shared_lan.running(), shared_lan.output("dataplane")


def test_every_host_reaches_every_other(three, lan):
    for here in three.hosts:
        for there in three.hosts:
            if here is not there:
                assert here.ping(there.ipv4, 2)
                assert here.ping(there.ipv6, 2)


def test_what_is_known_is_not_flooded(three, lan):
    assert three.a.ping(three.b.ipv4)
    with Wire(three.c, "eth0") as wire:
        before = lan.dataplane_counters()["flooded"]
        assert three.a.ping(three.b.ipv4, 10)
        assert lan.dataplane_counters()["flooded"] - before <= 4
        assert not wire.receive(lambda frame: frame[23:24] == b"\x01", seconds=0.5)


def test_a_station_that_moves_is_found_again(three, lan):
    assert three.a.ping(three.b.ipv4)
    three.b.ip("link", "set", "eth0", "down")
    three.c.ip("link", "set", "eth0", "down")
    three.c.ip("link", "set", "eth0", "address", three.b.mac)
    three.c.ip("address", "add", three.b.ipv4 + "/24", "dev", "eth0")
    three.c.ip("link", "set", "eth0", "up")
    try:
        assert eventually(lambda: three.c.ping(three.a.ipv4, 1, "-I", three.b.ipv4, seconds=1), 15)
        assert three.a.ping(three.b.ipv4)
    finally:
        three.c.ip("address", "del", three.b.ipv4 + "/24", "dev", "eth0")
        three.c.ip("link", "set", "eth0", "down")
        three.c.ip("link", "set", "eth0", "address", three.c.mac)
        three.c.ip("link", "set", "eth0", "up")
        three.b.ip("link", "set", "eth0", "up")
        for host in (three.b, three.c):
            host.ip("address", "replace", host.ipv6 + "/64", "dev", "eth0", "nodad")
        assert eventually(lambda: three.b.ping(three.a.ipv4, seconds=1), 15)


def test_floods_are_limited(three, lan):
    frame = bytes.fromhex(STRANGER.replace(":", "")) + b"\x02" + bytes(4) + b"\x0a" + \
        b"\x88\xb5" + bytes(46)
    before = lan.dataplane_counters()
    with Wire(three.a, "eth0") as wire:
        for _ in range(2000):
            wire.send(frame)
    assert eventually(lambda: lan.dataplane_counters()["drops"]["flood_limit"] >
                      before["drops"]["flood_limit"] + 500)
    assert lan.dataplane_counters()["flooded"] - before["flooded"] < 1500


def test_rules_see_a_bridged_packet_once(three, lan):
    lan.load("add 100 count icmp from any to any icmptypes 8\n"
             "add 110 count icmp from any to any icmptypes 8 in recv em0 bridged\n"
             "add 65000 allow ip from any to any\n")
    assert three.a.ping(three.b.ipv4, 4)
    assert lan.counters(100)[0] == 4
    assert lan.counters(110)[0] == 4
