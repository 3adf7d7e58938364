"""`ipfw top`: rates with real traffic."""

import json
import os
import pty
import signal
import subprocess
import threading
import time

from lab.following import Following
from lab.network import eventually

RULES = ("add 100 count icmp from any to any icmptypes 8\n"
         "add 200 allow ip from any to any\n"
         "add 300 deny udp from any to any\n")


def pinging(bed, count=20, interval="0.05"):
    """Twenty in a second."""
    thread = threading.Thread(target=lambda: bed.a.run(
        "ping", "-q", "-c", str(count), "-i", interval, str(bed.b.ipv4)))
    thread.start()
    return thread


def test_once_as_json(bed, appliance):
    appliance.load(RULES)
    assert bed.a.ping(bed.b.ipv4)
    thread = pinging(bed, 40)
    try:
        done = appliance.ipfw("top", "--once", "--json", "--interval", "1")
    finally:
        thread.join()
    assert done.status == 0, done.err
    rates = json.loads(done.out)
    assert rates["schema"] == "sluice/top/1" and 1 <= rates["interval_seconds"] < 3
    of_rules = {rule["number"]: rule["packets_per_second"] for rule in rates["rules"]}
    assert 10 < of_rules[100] < 30 and 20 < of_rules[200] < 60 and of_rules[300] == 0
    assert [rule["number"] for rule in rates["rules"]][:2] == [200, 100]
    em0 = next(port for port in rates["ports"] if port["name"] == "em0")
    assert 10 < em0["rx_packets_per_second"] < 40
    assert rates["workers"][0]["turns_per_second"] > 0
    assert rates["generation"] > 0 and rates["dataplane"] is True


def test_once_as_a_table(appliance):
    appliance.load(RULES)
    done = appliance.ipfw("top", "--once", "--interval", "0.2")
    assert done.status == 0 and "\x1b" not in done.out
    lines = done.out.splitlines()
    assert lines[0].startswith("generation ")
    assert any(line.startswith("em0 ") for line in lines)
    assert sum(line.startswith("00200 ") for line in lines) == 1
    assert lines[-1].split()[0].isdigit()


def test_a_stream_of_objects_until_it_is_interrupted(appliance):
    with Following(appliance, "top", "--json", "--interval", "0.2") as top:
        assert top.become(3)
        assert top.end(signal.SIGINT) == 0
        assert {json.loads(line)["schema"] for line in top.lines} == {"sluice/top/1"}


def test_on_a_terminal(appliance):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(appliance.ipfw_program), "top", "--interval", "0.2"],
                               stdin=theirs, stdout=theirs, stderr=theirs,
                               env=appliance.environment())
    os.close(theirs)
    try:
        text = b""
        end = time.monotonic() + 5
        while text.count(b"\x1b[H") < 2 and time.monotonic() < end:
            text += os.read(ours, 65536)
        assert text.count(b"\x1b[H") >= 2 and b"generation" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_it_ends_with_the_daemon(own_appliance):
    own_appliance.start()
    with Following(own_appliance, "top", "--interval", "0.2") as top:
        assert top.become(2)
        own_appliance.stop_dataplane(signal.SIGKILL)
        assert eventually(lambda: any("sluice-dataplane is not connected" in line
                                      for line in top.lines), 5)
        own_appliance.stop_controlplane()
        assert top.end(None) == 69
        assert "sluice-controlplane is not running" in top.complaints[-1]


def test_mistakes(appliance):
    for words, status in ((("--interval", "0"), 65), (("--interval",), 65), (("x",), 64)):
        done = appliance.ipfw("top", *words)
        assert done.status == status and done.err.startswith("ipfw: ")
