"""A large table under load: no packet is misjudged while entries change, and they change at once.

The short form takes some seconds; the long one, whose figures stand in perf/RESULTS.md, is
    SLUICE_E2E_PREFIXES=1000000 SLUICE_E2E_SECONDS=60 pytest -s tests/e2e/test_table_load.py
"""

import os
import socket
import statistics
import struct
import threading
import time

import pytest
from lab import Appliance, Bed, ControlSocket, Wire
from lab.flows import FAR_MAC, NEAR_MAC, UDP, _ipv4
from lab.network import eventually

PREFIXES = int(os.environ.get("SLUICE_E2E_PREFIXES", "50000"))
SECONDS = float(os.environ.get("SLUICE_E2E_SECONDS", "4"))
CHANGES_A_SECOND = 10000
BATCH = 100

NUMBERS = range(0, PREFIXES, max(1, PREFIXES // 5000))  # of the networks that packets come from

# Every fourth /24 of each kind, so that entries which change have neighbours that do not.
GREEN, CHANGING, RED = 0, 1, 2  # always in the table, now and then, never
PORTS = {GREEN: 1001, CHANGING: 1002, RED: 1003}


def network(number, kind):
    """The first address of the /24 with this number, of this kind."""
    return (20 << 24) + (number * 4 + kind) * 256


def text(address):
    return socket.inet_ntoa(struct.pack("!I", address))


def frame(kind, number):
    payload = struct.pack("!HHHH", 9, PORTS[kind], 8 + 12, 0) + b"sluice-table"
    source = struct.pack("!I", network(number, kind) + 1 + number % 254)
    return (FAR_MAC + NEAR_MAC + b"\x08\x00" +
            _ipv4(UDP, source, bytes((198, 51, 100, 1)), payload))


@pytest.fixture(scope="module")
def large(build):
    with Bed() as bed:
        with Appliance(bed.middle, build, dataplane={"workers": 2, "memory_mb": 256}) as appliance:
            appliance.start()
            appliance.load("table big create\n"
                           "add 100 allow udp from table(big) to any 1001\n"
                           "add 110 deny udp from any to any 1001\n"
                           "add 200 count udp from table(big) to any 1002\n"
                           "add 210 deny udp from any to any 1002\n"
                           "add 300 allow udp from table(big) to any 1003\n"
                           "add 310 deny udp from any to any 1003\n"
                           "add 65000 allow ip from any to any\n")
            lines = "".join(f"{text(network(i, GREEN))}/24\n" for i in range(PREFIXES))
            begin = time.monotonic()
            done = appliance.ipfw("table", "big", "load", appliance.rule_file(lines, "big.txt"),
                                  timeout=300)
            assert done.status == 0, done
            print(f"\n{PREFIXES / (time.monotonic() - begin):.0f} prefixes a second, loaded")
            print(appliance.must("table", "big", "detail"))
            yield bed, appliance


class Changes:
    """Another thread that takes entries out and puts them in."""

    def __init__(self, appliance):
        self.appliance = appliance
        self.stop = threading.Event()
        self.made = 0
        self.problem = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with ControlSocket(self.appliance.control_socket) as control:
            # The neighbours of entries that stay, and addresses inside of those.
            keys = [f"{text(network(number, CHANGING))}/24" if place % 2 else
                    f"{text(network(number, GREEN) + number % 256)}/32"
                    for place, number in enumerate(NUMBERS)]
            messages = [control.table_message("big", verb, keys[first:first + BATCH])
                        for verb in ("add", "delete") for first in range(0, len(keys), BATCH)]
            begin = time.monotonic()
            try:
                while not self.stop.is_set():
                    control.change(messages[self.made // BATCH % len(messages)])
                    self.made += BATCH
                    ahead = self.made / CHANGES_A_SECOND - (time.monotonic() - begin)
                    if ahead > 0:
                        time.sleep(ahead)
            except Exception as problem:  # for the thread that waits
                self.problem = problem
        self.rate = self.made / (time.monotonic() - begin)

    def finish(self):
        self.stop.set()
        self.thread.join()
        if self.problem is not None:
            raise self.problem


def test_no_packet_is_misjudged_while_entries_change(large):
    bed, appliance = large
    frames = [frame(kind, number) for number in NUMBERS for kind in (GREEN, CHANGING, RED)]
    appliance.must("-q", "zero")
    sent = 0
    changes = Changes(appliance)
    try:
        end = time.monotonic() + SECONDS
        with Wire(bed.a) as sender:
            while time.monotonic() < end and changes.thread.is_alive():
                for each in frames[sent % len(frames):][:300]:
                    sender.send(each)
                    sent += 1
    finally:
        changes.finish()
    assert eventually(lambda: sum(appliance.counters(rule)[0] for rule in
                                  (100, 110, 210, 300, 310)) > sent // 2)
    time.sleep(0.3)
    found = {rule: appliance.counters(rule)[0] for rule in (100, 110, 200, 210, 300, 310)}
    print(f"\n{sent} packets, {sent / SECONDS:.0f} a second; {changes.rate:.0f} changes a second; "
          f"matches {found}")
    assert found[110] == 0 and found[300] == 0
    assert found[100] > sent // 6 and found[310] > sent // 6
    # Both judgements were met by those that change.
    assert 0 < found[200] < found[210]
    assert changes.rate > CHANGES_A_SECOND / 10


def test_an_entry_counts_within_moments(large):
    """From the bytes of a command on the control socket to the arrival of the last packet that the
    rules would still have let through. The start of a process is not part of it."""
    bed, appliance = large
    delays = []
    probe = frame(GREEN, PREFIXES - 1)
    key = f"{text(network(PREFIXES - 1, GREEN))}/24"
    with ControlSocket(appliance.control_socket) as control, Wire(bed.a) as sender, \
            Wire(bed.b) as receiver:
        messages = [control.table_message("big", verb, [key]) for verb in ("delete", "add")]
        control.change(messages[1])
        receiver.socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        for _ in range(30):
            stop = threading.Event()

            def send():
                while not stop.is_set():
                    sender.send(probe)
                    time.sleep(0.00002)

            thread = threading.Thread(target=send)
            thread.start()
            time.sleep(0.03)
            begin = time.time_ns()
            control.change(messages[0])
            time.sleep(0.03)
            stop.set()
            thread.join()
            last = begin
            while True:
                try:
                    data, ancillary, _, _ = receiver.socket.recvmsg(2048, 256, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                for level, kind, stamp in ancillary:
                    if data == probe and level == socket.SOL_SOCKET and kind == 35:
                        seconds, nanoseconds = struct.unpack("qq", stamp[:16])
                        last = max(last, seconds * 10**9 + nanoseconds)
            delays.append((last - begin) / 1e6)
            control.change(messages[1])
    print(f"\nthe last packet let through arrived {statistics.median(delays):.2f} ms after the "
          f"command (median of {len(delays)}; {min(delays):.2f} to {max(delays):.2f})")
    # A machine that does other work as well takes longer.
    assert statistics.median(delays) < 20
