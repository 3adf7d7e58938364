"""No packet ever sees two rulesets.

Two rulesets mark every packet, the one with the tag 1 and the other with the tag 2, and pass it if it
has their own mark. They take turns as fast as `ipfw` loads them while packets come without a pause. A
packet that met the first rule of one and the last rule of the other would be dropped.

The packets are repeated from memory and go nowhere: no kernel takes part that could lose any.
SLUICE_E2E_SWAPS and SLUICE_E2E_COLOURED_PACKETS ask for a longer run, as perf/run reloads does.
"""

import os
import struct
import time

import pytest
from lab import Appliance, Namespace, PortSettings
from lab.network import eventually
from scapy.all import IP, UDP, Ether

SWAPS = int(os.environ.get("SLUICE_E2E_SWAPS", "1000"))
PACKETS = int(os.environ.get("SLUICE_E2E_COLOURED_PACKETS", "10000000"))
FLOWS = 256  # of each worker
FILLERS = 1000
WORKERS = [1, 2]


def capture_file(path, first):
    """Packets of so many flows, as tcpdump writes them."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for flow in range(first, first + FLOWS):
            frame = bytes(Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") /
                          IP(src=f"198.18.{flow // 256}.{flow % 256}", dst="192.0.2.1") /
                          UDP(sport=1024 + flow, dport=53) / (b"\0" * 18))
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


@pytest.fixture(scope="module", params=WORKERS, ids=["1-worker", "2-workers"])
def stream(request, build, tmp_path_factory):
    """An appliance whose first port is never out of packets."""
    folder = tmp_path_factory.mktemp("colours")
    queues = []
    for queue in range(request.param):
        capture_file(folder / f"{queue}.pcap", queue * FLOWS)
        queues.append(f"rx_pcap={folder}/{queue}.pcap")
    ports = [PortSettings("em0", {"peer": "em1"}, f"net_pcap0,{','.join(queues)},infinite_rx=1"),
             PortSettings("em1", {"peer": "em0"}, "net_null0,no-rx=1")]
    namespace = Namespace(f"sluice-colours-{os.getpid()}-{request.param}")
    try:
        with Appliance(namespace, build, ports=ports,
                       dataplane={"workers": request.param}) as appliance:
            appliance.workers = request.param
            appliance.start_dataplane()
            # A machine with as many CPUs as workers: those who change the rules need one, too.
            os.setpriority(os.PRIO_PROCESS, appliance.dataplane.pid, 5)
            appliance.start_controlplane()
            appliance.await_connection()
            yield appliance
            assert appliance.running()
    finally:
        namespace.close()


def fillers():
    return "".join(f"add {1000 + i} deny tcp from 10.{i // 250}.{i % 250}.0/24 to any {i + 1}\n"
                   for i in range(FILLERS))


def marked_by_a_rule(own, _):
    return (f"add 100 count tag {own} ip from any to any\n" + fillers() +
            f"add 65000 allow ip from any to any tagged {own}\n")


def marked_by_a_state(own, _):
    """The rule that made a state marks the packet when its state is found."""
    return ("add 50 check-state\n"
            f"add 100 count tag {own} udp from any to any keep-state\n" + fillers() +
            f"add 65000 allow ip from any to any tagged {own}\n")


def marked_by_a_table(own, other):
    """Each ruleset has a table of its own that says the mark, and it is there only with its rules."""
    return (f"table colour{own} create type addr valtype tag\n"
            f"table colour{own} add 0.0.0.0/0 {own}\n"
            f"add 100 count tag tablearg ip from table(colour{own}) to any\n" + fillers() +
            f"add 65000 allow ip from any to any tagged {own}\n"
            f"table colour{other} destroy\n")


def jumped_to(own, _):
    """The mark stands far from where it is asked for, behind a call and a jump."""
    return ("add 100 call 50000 ip from any to any\n"
            "add 200 skipto 60000 ip from any to any\n" + fillers() +
            f"add 50000 count tag {own} ip from any to any\n"
            "add 50010 return ip from any to any\n"
            f"add 65000 allow ip from any to any tagged {own}\n")


def moved(appliance):
    """(packets that came, packets that went)"""
    first, second = appliance.port_counters()
    return first["received_packets"], second["sent_packets"]


def lost(appliance):
    """Packets that the default rule got, which no reload replaces, or that were dropped before it."""
    return appliance.counters(65535)[0] + sum(appliance.drops().values())


@pytest.mark.parametrize("colours", [marked_by_a_rule, marked_by_a_state, marked_by_a_table,
                                     jumped_to])
def test_one_packet_one_ruleset(stream, colours):
    appliance = stream
    files = [appliance.rule_file(colours(own, 3 - own), f"colour{own}.rules") for own in (1, 2)]
    if colours is marked_by_a_table:
        appliance.must("table", "colour2", "create", "type", "addr", "valtype", "tag")
    # What is looked for would be found.
    before = lost(appliance)
    appliance.must("apply", appliance.rule_file("add 100 count tag 1 ip from any to any\n"
                                                "add 65000 allow ip from any to any tagged 2\n"))
    assert eventually(lambda: lost(appliance) > before)
    appliance.must("apply", files[0])

    # The first kind of mark has them all with one worker; the others a fifth each.
    share = 1 if colours is marked_by_a_rule and appliance.workers == 1 else 5
    lost_before, (came, went) = lost(appliance), moved(appliance)
    generation = appliance.dataplane_counters()["generation"]
    start, swaps, memory = time.monotonic(), 0, appliance.resident_bytes()
    while swaps < SWAPS // share or moved(appliance)[0] - came < PACKETS // share:
        swaps += 1
        appliance.must("-q", "apply", files[swaps % 2])
    seconds, (now_came, now_went) = time.monotonic() - start, moved(appliance)
    more = appliance.resident_bytes() - memory
    print(f"\n{colours.__name__}: {swaps} reloads and {now_came - came:,} packets in "
          f"{seconds:.1f} s, {more:,} bytes more")
    assert lost(appliance) == lost_before
    assert appliance.dataplane_counters()["generation"] - generation >= swaps
    # What is on its way when the counters are read: a few bursts.
    assert abs((now_came - came) - (now_went - went)) < 10000
    assert more < 16 << 20
