"""A gateway whose kernel gets a large table of routes, and another one in its place, while packets pass.

SLUICE_E2E_ROUTES=1000000 takes a table of the size of the Internet's."""

import os
import re
import tempfile

import pytest
from lab import Appliance, RoutedBed
from lab.network import eventually

ROUTES = int(os.environ.get("SLUICE_E2E_ROUTES", "200000"))
OTHER_GATEWAY = "198.51.100.4"  # B as well
# Beyond what a packet takes on this machine while the same work is done elsewhere, in seconds.
PAUSE = 0.05


@pytest.fixture
def routed():
    with RoutedBed() as bed:
        bed.b.ip("address", "add", OTHER_GATEWAY + "/24", "dev", "eth0")
        for address in ("203.0.113.9", "203.0.114.9"):
            bed.b.ip("address", "add", address + "/32", "dev", "lo")
        yield bed


def prefixes():
    """From 20.0.0.0 on, and at last that of the packets."""
    for i in range(ROUTES - 1):
        yield f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/24"
    yield "203.0.113.0/24"


def batch(place, lines):
    """`ip -batch` in a namespace, to its end."""
    with tempfile.NamedTemporaryFile("w", prefix="sluice-routes-") as file:
        file.write("".join(f"route {line}\n" for line in lines))
        file.flush()
        child = place.start("ip", "-batch", file.name)
        assert child.wait(300) == 0


def asked(host, address, work):
    """Sends echo requests every five milliseconds while `work` is done: how many of them had no
    answer, of how many, and the longest time that one took."""
    with tempfile.TemporaryFile("w+") as output:
        ping = host.start("ping", "-n", "-i", "0.005", address, stdout=output)
        try:
            work()
        finally:
            ping.send_signal(2)
            ping.wait(10)
        output.seek(0)
        text = output.read()
    sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", text).groups()
    times = [float(found) / 1e3 for found in re.findall(r"time=([\d.]+) ms", text)]
    return int(sent) - int(received), int(sent), max(times)


def test_a_large_table_comes_and_is_swapped_while_packets_pass(routed, build):
    with Appliance(routed.middle, build, ports=routed.ports()) as gateway:
        gateway.start()
        gateway.load("add 65000 allow ip from any to any\n")
        assert eventually(lambda: routed.a.ping(routed.b.ipv4, seconds=1), 15)
        memory = gateway.resident_bytes()
        routed.middle.ip("route", "add", "203.0.112.0/22", "via", routed.b.ipv4)
        assert eventually(lambda: routed.a.ping("203.0.113.9", seconds=1))

        # The same work where the gateway does not see it: what the machine does to the packets.
        elsewhere = asked(routed.a, "203.0.113.9",
                          lambda: batch(routed.b, (f"add blackhole {prefix} metric 9"
                                                   for prefix in prefixes())))
        loaded = asked(routed.a, "203.0.113.9",
                       lambda: batch(routed.middle, (f"add {prefix} via {routed.b.ipv4}"
                                                     for prefix in prefixes())))
        # Only the last one of the second table leads there: the gateway has all of it.
        routed.middle.ip("route", "replace", "unreachable", "203.0.114.0/24")
        assert eventually(lambda: not routed.a.ping("203.0.114.9", seconds=1), 60)

        def swap():
            batch(routed.middle, [f"replace {prefix} via {OTHER_GATEWAY}"
                                  for prefix in (*prefixes(), "203.0.114.0/24")])
            assert eventually(lambda: routed.a.ping("203.0.114.9", seconds=1), 60)

        swapped = asked(routed.a, "203.0.113.9", swap)
        print(f"{ROUTES} routes; lost, sent, longest: elsewhere {elsewhere}, loaded {loaded}, "
              f"swapped {swapped}; {(gateway.resident_bytes() - memory) >> 20} MiB more")
        for lost, sent, longest in (loaded, swapped):
            assert sent > 50
            # The last one may still be under way when no more are sent.
            assert lost <= 1
            assert longest < elsewhere[2] + PAUSE
        assert gateway.running(), gateway.output("dataplane")
