"""What Prometheus gets, against what `ipfw` shows and what the hosts have sent."""

import re
import shutil
import signal
import subprocess
import time

import pytest
from lab import Appliance, Wire
from lab.metrics import METRICS_URL
from lab.network import eventually

PING = ("add 100 allow icmp from any to any // pings\n"
        "add 200 count ip from any to any\n"
        "add 300 allow tcp from any to any 80 keep-state\n"
        "add 400 deny log ip from any to any\n")


def shown(appliance):
    """{number: (packets, bytes)}: what `ipfw show` says."""
    return {int(number): (int(packets), int(octets)) for number, packets, octets in (
        line.split()[:3] for line in appliance.must("show").splitlines())}


def of_rules(metrics):
    """The same from the metrics."""
    octets = {labels["id"]: value for labels, value in metrics.all("sluice_rule_bytes_total")}
    return {int(labels["rule"]): (value, octets[labels["id"]])
            for labels, value in metrics.all("sluice_rule_packets_total")}


def test_rules_count_as_ipfw_shows(bed, appliance):
    appliance.load(PING)
    bed.static_neighbours()
    before = appliance.metrics()
    assert bed.a.ping(bed.b.ipv4, 5)
    # Not while the hosts still chat.
    assert eventually(lambda: of_rules(appliance.metrics()).items() >=
                      {n: c for n, c in shown(appliance).items() if n != 65535}.items())
    after = appliance.metrics()
    assert of_rules(after)[100] == (10, 840)
    assert after.value("sluice_rule_packets_total", rule=100, set=0, action="allow") == 10
    assert after.value("sluice_rule_info", rule=100, comment="pings") == 1
    stamp = after.value("sluice_rule_last_match_timestamp_seconds", rule=100)
    assert abs(stamp - time.time()) < 30
    for port in ("em0", "em1"):
        for name, least in (("rx_packets", 5), ("tx_packets", 5), ("rx_bytes", 490),
                            ("tx_bytes", 490)):
            series = f"sluice_port_{name}_total"
            assert after.value(series, port=port) - before.value(series, port=port) >= least
    # What the workers counted, as the contract has it.
    ports = appliance.port_counters()
    assert appliance.metrics().value("sluice_port_rx_packets_total", port="em0") >= \
        ports[0]["received_packets"]


def test_ports_count_what_the_hosts_sent(bed, appliance):
    appliance.load("add 100 allow ip from any to any\n")
    frames = [bytes.fromhex("02000000000b02000000000a88b5") + bytes([n]) * 200 for n in range(50)]
    before = appliance.metrics()
    with Wire(bed.a) as sender, Wire(bed.b) as receiver:
        for frame in frames:
            sender.send(frame)
        assert receiver.receive(lambda got: got == frames[-1])

    def grown(name, **labels):
        return appliance.metrics().sum(name, **labels) - before.sum(name, **labels)

    assert eventually(lambda: grown("sluice_port_tx_packets_total", port="em1") >= 50)
    assert 50 <= grown("sluice_port_rx_packets_total", port="em0") <= 60
    assert 50 * 214 <= grown("sluice_port_rx_bytes_total", port="em0") <= 50 * 214 + 2000
    assert grown("sluice_non_ip_frames_total") >= 50
    assert grown("sluice_lcore_bursts_total", lcore=0) >= 1
    assert grown("sluice_lcore_turns_total", lcore=0) > 0


def test_zero_and_reload_never_set_a_counter_back(bed, appliance):
    appliance.load(PING)
    assert bed.a.ping(bed.b.ipv4, 3)
    appliance.must("-q", "zero")
    assert appliance.counters(100) == (0, 0)
    assert of_rules(appliance.metrics())[100] == (6, 504)
    appliance.load(PING)
    assert bed.a.ping(bed.b.ipv4, 1)
    assert appliance.counters(100) == (2, 168)
    assert of_rules(appliance.metrics())[100] == (8, 672)
    # Another rule that gets the number has series of its own, and begins at zero.
    first = appliance.metrics().all("sluice_rule_packets_total", rule=100)[0][0]["id"]
    appliance.load(PING.replace("allow icmp", "allow log icmp"))
    labels, value = appliance.metrics().all("sluice_rule_packets_total", rule=100)[0]
    assert labels["id"] != first and value == 0


def test_a_restarted_control_plane_goes_on_counting(own_bed, own_appliance):
    appliance = own_appliance
    appliance.start()
    appliance.load(PING)
    assert own_bed.a.ping(own_bed.b.ipv4, 2)
    appliance.must("-q", "zero")
    appliance.stop_controlplane(signal.SIGKILL)
    with pytest.raises(RuntimeError):
        appliance.exposition()
    appliance.start_controlplane()
    appliance.await_connection()
    assert of_rules(appliance.metrics())[100] == (4, 336)
    # Without the data plane there is nothing of it.
    appliance.stop_dataplane()
    assert eventually(lambda: appliance.metrics().value("sluice_dataplane_up") == 0)
    assert not appliance.metrics().all("sluice_rule_packets_total")
    assert not appliance.metrics().all("sluice_port_rx_packets_total")
    appliance.start_dataplane()
    appliance.await_connection()
    assert appliance.metrics().value("sluice_dataplane_up") == 1
    assert of_rules(appliance.metrics())[100] == (0, 0)
    assert appliance.stop_controlplane() == 0


def test_reloads(bed, appliance):
    def value(name, **labels):
        return appliance.metrics().sum(name, **labels)

    generation, applied = value("sluice_ruleset_generation"), value(
        "sluice_ruleset_applies_total", result="applied")
    adds = value("sluice_control_requests_total", cmd="add", code=0)
    appliance.must("-q", "add", 100, "allow", "icmp", "from", "any", "to", "any")
    assert value("sluice_ruleset_generation") == generation + 1
    assert value("sluice_ruleset_applies_total", result="applied") == applied + 1
    assert value("sluice_ruleset_apply_duration_seconds_count") == applied + 1
    assert value("sluice_control_requests_total", cmd="add", code=0) == adds + 1
    assert value("sluice_ruleset_last_apply_success") == 1
    assert abs(value("sluice_ruleset_last_apply_timestamp_seconds") - time.time()) < 10
    assert eventually(lambda: value("sluice_lcore_generation", lcore=0) == generation + 1)
    failed = value("sluice_control_requests_total", cmd="delete", code=69)
    assert appliance.ipfw("delete", 4711).status == 69
    assert value("sluice_control_requests_total", cmd="delete", code=69) == failed + 1
    assert value("sluice_ruleset_generation") == generation + 1
    # Heartbeats go on.
    assert time.time() - value("sluice_lcore_heartbeat_timestamp_seconds", lcore=0) < 10


def test_cost_is_that_of_show_cost(bed, appliance):
    appliance.load("".join(f"add allow tcp from 10.{n}.0.0/16 to any {n + 1}\n"
                           for n in range(100)))
    text = appliance.must("show", "--cost")
    metrics = appliance.metrics()
    assert metrics.value("sluice_classifier_rules") == 101
    assert metrics.value("sluice_classifier_build_seconds") > 0
    assert metrics.value("sluice_classifier_memory_bytes") >= metrics.value(
        "sluice_classifier_tree_memory_bytes", family="ipv4") > 0
    shown_costs = next(line for line in text.splitlines() if line.startswith("IPv4")).split()[1:5]
    assert shown_costs == [
        str(int(metrics.value(f"sluice_classifier_{name}", family="ipv4")))
        for name in ("boxes", "trees", "worst_path_nodes", "worst_path_blocks")], text


def test_drops_log_states_and_tables(bed, appliance):
    from scapy.all import IP, UDP, Ether
    appliance.load("add 50 deny ip from table(blocked) to any\n" + PING)
    appliance.must("-q", "table", "blocked", "add", "198.51.100.0/24")
    appliance.must("-q", "table", "blocked", "add", "203.0.113.0/24")
    before = appliance.metrics()
    bad = bytes(Ether(src=bed.a.mac, dst=bed.b.mac) / IP(src=bed.a.ipv4, dst=bed.b.ipv4, len=900) /
                UDP())
    with Wire(bed.a) as sender:
        for _ in range(7):
            sender.send(bad)

    def grown(name, **labels):
        return appliance.metrics().sum(name, **labels) - before.sum(name, **labels)

    assert eventually(lambda: grown("sluice_drops_total", reason="bad_ipv4_length") == 7)
    bed.b.listen(80)
    assert "hello" in bed.a.curl(f"http://{bed.b.ipv4}/").stdout
    assert grown("sluice_state_inserts_total") == 1
    assert appliance.metrics().value("sluice_states") == appliance.state_count()
    assert appliance.metrics().value("sluice_rule_states", rule=300) == appliance.state_count()
    bed.a.curl(f"http://{bed.b.ipv4}:81/", seconds=1)
    assert eventually(lambda: grown("sluice_log_lines_total") >= 1)
    assert eventually(lambda: appliance.metrics().sum("sluice_table_entries", table="blocked") == 2,
                      15)


def test_other_paths_are_not_there(bed, appliance):
    for path, status in (("/metrics", "200"), ("/nothing", "404"), ("/../etc/passwd", "404")):
        done = bed.middle.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is",
                              METRICS_URL.replace("/metrics", path))
        assert done.stdout == status, path
    done = bed.middle.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST",
                          METRICS_URL)
    assert done.stdout == "405"


def controlplane_ends(appliance):
    """Starts a control plane that shall not run: (exit status, what it says)."""
    done = appliance.namespace.run(str(appliance.controlplane_program), "--config",
                                   str(appliance.config), timeout=20)
    return done.returncode, done.stderr


def test_an_address_in_use_ends_the_control_plane_in_words(own_bed, build):
    server = own_bed.middle.start(
        "/usr/bin/python3", "-c", "import socket, time; s = socket.socket(); "
        "s.bind(('127.0.0.1', 9655)); s.listen(); print('there', flush=True); time.sleep(60)",
        stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"there\n"
    with Appliance(own_bed.middle, build) as appliance:
        status, text = controlplane_ends(appliance)
        assert status == 69
        assert text == ("sluice-controlplane: another program listens on 127.0.0.1:9655, where "
                        "metrics are to be served; stop it, or set listen in [metrics] of "
                        "sluice.toml to another address or port\n")
        assert not appliance.control_socket.exists()
    with Appliance(own_bed.middle, build, metrics={"listen": "192.0.2.77:9655"}) as appliance:
        status, text = controlplane_ends(appliance)
        assert status == 69 and "this machine does not have that address" in text
    with Appliance(own_bed.middle, build, metrics={"listen": "nowhere"}) as appliance:
        status, text = controlplane_ends(appliance)
        assert status == 65
        assert re.search(r"sluice.toml:\d+:\d+: listen must be an IPv4 address and a port", text)


def test_it_can_be_switched_off(own_bed, build):
    with Appliance(own_bed.middle, build, metrics={"listen": ""}) as appliance:
        appliance.start_controlplane()
        with pytest.raises(RuntimeError):
            appliance.exposition()


@pytest.mark.skipif(shutil.which("promtool") is None,
                    reason="promtool is not installed (Debian package prometheus)")
def test_promtool_finds_no_fault(bed, appliance):
    appliance.load(PING)
    assert bed.a.ping(bed.b.ipv4, 2)
    done = subprocess.run(["promtool", "check", "metrics"], input=appliance.exposition(),
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
