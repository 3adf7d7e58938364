"""A gateway over time: under load, under storms, when its twins go, and beside bridged ports."""

import json
import re
import time

import pytest
from lab import ALLOW, Appliance, RoutedBed, Wire
from lab.appliance import bridge_of
from lab.network import Host, eventually


@pytest.fixture(scope="module")
def gateway_settings():
    return {}


def test_iperf3_both_ways(routed, gateway):
    server = routed.b.start("iperf3", "-s")
    try:
        for direction in ((), ("-R",)):
            def runs():
                done = routed.a.run("iperf3", "-c", routed.b.ipv4, "-t", "2", "-J", *direction)
                if done.returncode != 0:
                    return False
                # There is no such part where the server was not there yet, or was busy.
                return json.loads(done.stdout)["end"].get("sum_received", {}).get("bytes", 0)

            assert eventually(runs, 10) > 1_000_000
    finally:
        server.terminate()


def test_traceroute_sees_the_gateway_and_the_host(routed, gateway):
    for options, router, host in (((), routed.router_a4, routed.b.ipv4),
                                  (("-6",), routed.router_a6, routed.b.ipv6)):
        done = routed.a.run("nmap", *options, "-n", "-sn", "-PE", "--traceroute", host)
        hops = re.findall(r"^\d+\s+\S+ ms\s+(\S+)$", done.stdout, re.MULTILINE)
        assert hops == [router, host], done.stdout


def test_routes_change_under_load(routed, gateway):
    """Of a route and a more special one that come and go, one is always there."""
    routed.b.ip("address", "add", "203.0.113.9/32", "dev", "lo")
    routed.middle.ip("route", "add", "203.0.113.0/24", "via", routed.b.ipv4)
    try:
        assert eventually(lambda: routed.a.ping("203.0.113.9", seconds=1))
        ping = routed.a.start("ping", "-n", "-q", "-i", "0.005", "-w", "4", "203.0.113.9", stdout=-1)
        end = time.monotonic() + 3
        changes = 0
        while time.monotonic() < end:
            routed.middle.ip("route", "replace", "203.0.113.9/32", "via", routed.b.ipv4)
            routed.middle.ip("route", "del", "203.0.113.9/32")
            changes += 2
        out = ping.communicate()[0].decode()
        words = out[out.index("statistics"):].split()
        sent, received = int(words[2]), int(words[5])
        assert changes > 50 and sent > 300
        assert sent - received <= 1, out
    finally:
        routed.middle.ip("route", "flush", "203.0.113.0/24")
        routed.b.ip("address", "del", "203.0.113.9/32", "dev", "lo")


def test_a_neighbour_that_moves_is_found_again(routed, gateway):
    assert routed.a.ping(routed.b.ipv4)
    routed.b.ip("link", "set", "eth0", "down")
    routed.b.ip("link", "set", "eth0", "address", "02:00:00:00:00:1b")
    routed.b.ip("link", "set", "eth0", "up")
    routed.b.ip("route", "replace", "default", "via", routed.router_b4)
    try:
        assert eventually(lambda: routed.b.ping(routed.router_b4, seconds=1), 15)
        assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)
    finally:
        routed.b.ip("link", "set", "eth0", "down")
        routed.b.ip("link", "set", "eth0", "address", routed.b.mac)
        routed.b.ip("link", "set", "eth0", "up")
        routed.b.ip("route", "replace", "default", "via", routed.router_b4)
        routed.b.ip("address", "replace", routed.b.ipv6 + "/64", "dev", "eth0", "nodad")
        routed.b.ip("-6", "route", "replace", "default", "via", routed.router_b6)
        assert eventually(lambda: routed.b.ping(routed.router_b4, seconds=1), 15)
        assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)


@pytest.mark.waits
def test_a_sweep_of_addresses_that_nobody_has(routed, gateway):
    """Packets to unknown neighbours are kept in bounded numbers; known ones do not suffer."""
    assert routed.a.ping(routed.b.ipv4)
    before = gateway.dataplane_counters()
    routed.a.run("sh", "-c", "for i in $(seq 50 250); do for n in 1 2 3 4 5 6 7 8 9 10; do "
                 "echo x > /dev/udp/198.51.100.$i/9; done; done", timeout=30)
    sweep = routed.a.run("nmap", "-n", "-sn", "-PU9", "--max-retries", "0", "--host-timeout", "2s",
                         "198.51.100.50-250", timeout=60)
    assert sweep.returncode == 0
    assert routed.a.ping(routed.b.ipv4, 3)
    after = gateway.dataplane_counters()
    assert after["waited_for_neighbour"] > before["waited_for_neighbour"]

    def all_gone():
        now = gateway.dataplane_counters()
        given_up = now["drops"]["neighbour_unknown"] - before["drops"]["neighbour_unknown"]
        return given_up >= (now["waited_for_neighbour"] - before["waited_for_neighbour"]) * 0.9

    assert eventually(all_gone, 15)


def test_an_arp_storm_is_bounded(routed, gateway):
    request = bytes.fromhex("ffffffffffff" "02000000000a" "0806" "0001080006040001" "02000000000a"
                            "c0000201" "000000000000" "c0000202") + bytes(18)
    memory = gateway.resident_bytes()
    ping = routed.b.start("ping", "-n", "-q", "-i", "0.1", "-w", "3", routed.router_b4, stdout=-1)
    with Wire(routed.a) as wire:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            wire.send(request)
    # Whoever is not part of it still reaches the machine itself.
    out = ping.communicate()[0].decode()
    received = int(re.search(r"(\d+) received", out).group(1))
    assert received > 15, out
    assert routed.b.ping(routed.router_b4, 2)
    assert routed.a.ping(routed.b.ipv4, 2)
    assert gateway.resident_bytes() < memory + (16 << 20)


def test_a_twin_that_is_deleted_comes_back(routed, gateway):
    routed.middle.ip("link", "delete", "em1")
    assert eventually(lambda: "the kernel has lost the interface em1" in gateway.output("dataplane"))
    assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)
    assert eventually(lambda: routed.a.ping(routed.b.ipv6, seconds=1), 15)


def test_the_twin_has_the_link_state_of_the_port(routed, gateway):
    def carrier():
        return "NO-CARRIER" not in routed.middle.ip("link", "show", "em1")

    assert eventually(carrier)
    routed.b.ip("link", "set", "eth0", "down")
    try:
        assert eventually(lambda: not carrier())
    finally:
        routed.b.ip("link", "set", "eth0", "up")
        routed.b.ip("route", "replace", "default", "via", routed.router_b4)
        routed.b.ip("address", "replace", routed.b.ipv6 + "/64", "dev", "eth0", "nodad")
        routed.b.ip("-6", "route", "replace", "default", "via", routed.router_b6)
    assert eventually(carrier)
    assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)


def test_the_control_plane_dies_and_routing_goes_on(routed, gateway):
    gateway.stop_controlplane(9)
    assert routed.a.ping(routed.b.ipv4, 3)
    gateway.start_controlplane()
    gateway.await_connection()
    assert routed.a.ping(routed.b.ipv4, 3)


class BothBeds(RoutedBed):
    """Hosts C and D beside A and B, in one network, bridged."""

    def _make(self, suffix):
        super()._make(suffix)
        self.c = self._add(Host(f"sluice-c-{suffix}", "02:00:00:00:00:0c", "10.0.0.1",
                                "fd7a:803f:cc4b:c::1"))
        self.d = self._add(Host(f"sluice-d-{suffix}", "02:00:00:00:00:0d", "10.0.0.2",
                                "fd7a:803f:cc4b:c::2"))
        self._connect(self.c, "em2")
        self._connect(self.d, "em3")


def test_bridge_and_gateway_in_one_appliance(build):
    with BothBeds() as bed:
        ports = bed.ports()
        for number, port in enumerate(bridge_of(("em2", "em3")), 2):
            port.device = f"net_af_packet{number},iface={port.name}"
            ports.append(port)
        with Appliance(bed.middle, build, ports=ports) as appliance:
            appliance.start()
            appliance.load("add 100 count icmp from any to any recv em2 bridged\n"
                           "add 110 count icmp from any to any recv em0\n" + ALLOW)
            assert eventually(lambda: bed.c.ping(bed.d.ipv4, seconds=1))
            assert bed.c.ping(bed.d.ipv6)
            assert eventually(lambda: bed.a.ping(bed.b.ipv4, seconds=1))
            assert not bed.a.ping(bed.c.ipv4, seconds=1)
            assert appliance.counters(100)[0] > 0
            assert appliance.counters(110)[0] > 0
