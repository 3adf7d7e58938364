"""Daemons that end, are killed, and come back, while traffic goes on."""

import re
import signal
import time

import pytest
from lab.network import eventually

RULES = ("add 100 allow icmp from any to any\n"
         "add 200 set 3 count log logamount 7 tcp from any to any 22 in // remote login\n"
         "add 200 deny tcp from any to any\n"
         "add 300 allow ipv6-icmp from any to any\n")


class Ping:
    """A ping in the background, twenty a second."""

    def __init__(self, host, address):
        self.child = host.start("ping", "-n", "-i", "0.05", "-W", "2", address, stdout=-1)

    def lost(self):
        """Ends it: (sent, lost)."""
        time.sleep(0.3)
        self.child.send_signal(signal.SIGINT)
        text = self.child.communicate(timeout=10)[0].decode()
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                            text).groups())
        # The last request may have been on its way.
        last = int(re.findall(r"icmp_seq=(\d+)", text)[-1])
        return sent, max(0, min(sent, last) - received)


def assert_nothing_lost(ping, at_least):
    sent, lost = ping.lost()
    assert sent >= at_least
    assert lost == 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_control_plane_dies_and_comes_back(own_bed, own_appliance, sent):
    """Not one packet is lost; rules, sets, numbers, limits, sysctls and counters come back."""
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("-q", "sysctl", "net.inet.ip.fw.autoinc_step=10")
    assert own_bed.a.ping(own_bed.b.ipv4, 3)
    rules = appliance.must("-S", "list")
    counted = appliance.counters(100)[0]
    ping = Ping(own_bed.a, own_bed.b.ipv4)
    appliance.stop_controlplane(sent)
    time.sleep(1)
    appliance.start_controlplane()
    appliance.await_connection()
    assert appliance.must("-S", "list") == rules
    assert appliance.counters(100)[0] > counted
    assert appliance.must("sysctl", "net.inet.ip.fw.autoinc_step").strip().endswith("10")
    assert "00310 " in appliance.must("add", "count", "ip", "from", "any", "to", "any")
    assert_nothing_lost(ping, 20)
    # What was counted before is in what is counted now: two packets for each echo.
    before = appliance.counters(100)[0]
    assert own_bed.a.ping(own_bed.b.ipv4, 5)
    assert appliance.counters(100)[0] == before + 10


def test_control_plane_restarted_many_times(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    rules = appliance.must("-S", "list")
    ping = Ping(own_bed.a, own_bed.b.ipv4)
    for _ in range(5):
        appliance.stop_controlplane(signal.SIGKILL)
        appliance.start_controlplane()
    appliance.await_connection()
    assert appliance.must("-S", "list") == rules
    assert_nothing_lost(ping, 5)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_data_plane_dies_and_comes_back(own_bed, own_appliance, sent):
    """The control plane gives the rules to a data plane that starts anew."""
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    assert own_bed.a.ping(own_bed.b.ipv4, 2)
    rules = appliance.must("-S", "list")
    appliance.stop_dataplane(sent)
    assert not own_bed.a.ping(own_bed.b.ipv4, seconds=1)
    done = appliance.ipfw("add", 900, "count", "ip", "from", "any", "to", "any")
    assert done.status == 69 and "sluice-dataplane is not running" in done.err
    assert appliance.must("-S", "list") == rules
    appliance.start_dataplane()
    assert eventually(lambda: own_bed.a.ping(own_bed.b.ipv4, seconds=1))
    assert appliance.must("-S", "list") == rules
    appliance.await_connection()
    assert appliance.ipfw("add", 900, "count", "ip", "from", "any", "to", "any").status == 0
    assert appliance.counters(100)[0] >= 2


@pytest.mark.parametrize("first", ["dataplane", "controlplane"])
def test_started_in_either_order(own_bed, own_appliance, first):
    appliance = own_appliance
    starts = [appliance.start_dataplane, appliance.start_controlplane]
    if first == "controlplane":
        starts.reverse()
    for start in starts:
        start()
        time.sleep(0.5)
    appliance.await_connection()
    appliance.load(RULES)
    assert own_bed.a.ping(own_bed.b.ipv4, 2)


@pytest.mark.parametrize("first", ["dataplane", "controlplane"])
def test_both_die(own_bed, own_appliance, first):
    """The rules come back from the disk, whoever starts first."""
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES)
    appliance.must("save")
    rules = appliance.must("-S", "list")
    appliance.stop_controlplane(signal.SIGKILL)
    appliance.stop_dataplane(signal.SIGKILL)
    starts = [appliance.start_dataplane, appliance.start_controlplane]
    if first == "controlplane":
        starts.reverse()
    for start in starts:
        start()
    appliance.await_connection()
    assert appliance.must("-S", "list") == rules
    assert own_bed.a.ping(own_bed.b.ipv4, 2)


def test_clean_end(own_bed, own_appliance):
    """SIGTERM and SIGINT: exit status 0, no socket left behind that answers."""
    for sent in (signal.SIGTERM, signal.SIGINT):
        own_appliance.start()
        assert own_appliance.stop_controlplane(sent) == 0
        assert own_appliance.stop_dataplane(sent) == 0
        assert own_appliance.ipfw("list").status == 69


def test_second_instance_is_refused(own_appliance):
    own_appliance.start()
    for program in (own_appliance.dataplane_program, own_appliance.controlplane_program):
        done = own_appliance.namespace.run(str(program), "--config", str(own_appliance.config))
        assert done.returncode > 0
        assert ".sock" in done.stderr
    assert own_appliance.connected()


# ---- reload --------------------------------------------------------------------------------------


def test_reload_under_traffic_loses_nothing(bed, appliance):
    """A ping, a hundred a second, and rulesets that all allow it: no packet may ever see an empty
    one."""
    rest = "".join(f"add {number} deny tcp from any to any {number}\n"
                   for number in range(2000, 2200))
    first = "add 100 allow icmp from any to any\n" + rest
    second = "add 110 count icmp from any to any\nadd 120 allow icmp from any to any\n" + rest
    appliance.load(first)
    assert bed.a.ping(bed.b.ipv4)
    ping = bed.a.start("ping", "-n", "-q", "-i", "0.01", "-c", "500", "-W", "2", bed.b.ipv4,
                       stdout=-1)
    reloads = 0
    while ping.poll() is None:
        appliance.load(second if reloads % 2 == 0 else first)
        reloads += 1
    text = ping.communicate()[0].decode()
    assert "500 received" in text, text
    assert reloads >= 5


def test_failed_reload_leaves_the_traffic_alone(bed, appliance):
    appliance.load("add 100 allow icmp from any to any\n")
    assert bed.a.ping(bed.b.ipv4)
    before = appliance.must("-a", "list")
    bad = appliance.rule_file("-f flush\nadd 100 deny ip from any to any\nadd 200 dney ip from any"
                              " to any\n")
    assert appliance.ipfw("-q", bad).status == 65
    assert appliance.must("-a", "list") == before
    assert bed.a.ping(bed.b.ipv4, 2)
