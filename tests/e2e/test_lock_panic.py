"""`ipfw lock` and `ipfw panic`: what the data plane does whatever the control plane and rules say."""

import signal
import time

from lab.network import eventually

RULES = "add 100 allow icmp from any to any\n"
REFUSED = [("add", "200", "deny", "ip", "from", "any", "to", "any"), ("delete", "100"),
           ("-f", "flush"), ("zero",), ("resetlog",), ("set", "disable", "4"),
           ("table", "5", "create"), ("table", "1", "add", "10.0.0.0/8"),
           ("sysctl", "net.inet.ip.fw.verbose=1"), ("disable", "firewall"), ("panic", "pass")]


def connected(appliance):
    return appliance.ipfw("show", "--cost").status == 0


def test_lock_survives_the_control_plane(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES + "table 1 create\n")
    assert own_bed.a.ping(own_bed.b.ipv4, 1)
    rules = appliance.must("-S", "list")
    counted = appliance.counters(100)
    appliance.must("lock")
    for restarted in (False, True):
        if restarted:
            appliance.stop_controlplane(signal.SIGKILL)
            appliance.start_controlplane()
            assert eventually(lambda: connected(appliance), 10)
        for command in REFUSED:
            result = appliance.ipfw(*command)
            assert result.status == 69 and "locked" in result.err, command
        assert appliance.must("-S", "list") == rules
        assert appliance.counters(100)[0] >= counted[0] > 0, "nothing was zeroed"
        assert "10.0.0.0" not in appliance.must("table", "1", "list")
        assert own_bed.a.ping(own_bed.b.ipv4, 1)
    appliance.must("panic", "deny")
    assert not own_bed.a.ping(own_bed.b.ipv4, 1)
    appliance.must("panic", "off")
    # A data plane that was restarted is open again.
    appliance.stop_dataplane()
    appliance.start_dataplane()
    assert eventually(lambda: appliance.ipfw(*REFUSED[0]).status == 0, 20)


def test_panic_in_a_tenth_of_a_second(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(RULES + "add 200 deny udp from any to any\n")
    assert own_bed.a.ping(own_bed.b.ipv4, 2)

    def timed(how):
        begin = time.monotonic()
        appliance.must("panic", how)
        return time.monotonic() - begin

    # The answer means that it holds on every worker; the command's own start is in the figure.
    assert min(timed("deny") for _ in range(5)) < 0.1
    assert not own_bed.a.ping(own_bed.b.ipv4, 2)
    assert "panic: all IP is dropped" in appliance.ipfw("show").err
    assert appliance.drops().get("panic", 0) > 0
    counted = appliance.counters(100)
    # It needs no control plane to go on.
    appliance.stop_controlplane(signal.SIGKILL)
    assert not own_bed.a.ping(own_bed.b.ipv4, 1)
    appliance.start_controlplane()
    assert eventually(lambda: connected(appliance), 10)
    assert "panic: all IP is dropped" in appliance.ipfw("show").err
    assert appliance.counters(100) == counted
    appliance.load("-f flush\nadd 100 deny icmp from any to any\n")
    assert timed("pass") < 1
    assert own_bed.a.ping(own_bed.b.ipv4, 2)
    assert timed("off") < 1
    assert not own_bed.a.ping(own_bed.b.ipv4, 2)
    assert "panic" not in appliance.ipfw("show").err
