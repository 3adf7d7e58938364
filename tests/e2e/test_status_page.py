"""The page at / of the metrics' port."""

import json
import re
import shutil
import subprocess
import time

import pytest
from lab import Appliance
from lab.appliance import SOURCE
from lab.metrics import METRICS_URL

PAGE_URL = METRICS_URL.removesuffix("metrics")
SCRIPT = SOURCE / "controlplane/metrics/page/status.js"
RUNNER = SOURCE / "tests/e2e/lab/page_runner.js"
RULES = ("add 100 allow icmp from any to any // <b>pings</b>\n"
         "add 200 set 4 deny tcp from any to any 23\n"
         "add 300 allow ip from any to any\n")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def get(appliance, path=""):
    done = appliance.namespace.run("curl", "--silent", "--show-error", "--fail", "--max-time", "10",
                                   PAGE_URL + path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(appliance):
    return json.loads(get(appliance, "status.json"))


def page_of(answers, *arguments):
    """What the page shows when status.json has answered so."""
    done = subprocess.run(["node", str(RUNNER), str(SCRIPT), *arguments], input=json.dumps(answers),
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_says_what_ipfw_shows(bed, appliance):
    appliance.load(RULES)
    appliance.must("-q", "set", "disable", 4)
    assert bed.a.ping(bed.b.ipv4, 2)
    appliance.must("-q", "zero")
    assert bed.a.ping(bed.b.ipv4, 3)
    now = status(appliance)
    rules = {rule["number"]: rule for rule in now["rules"]}
    assert (rules[100]["packets"], rules[100]["bytes"]) == appliance.counters(100) == (6, 504)
    assert rules[100]["text"] == "allow icmp from any to any // <b>pings</b>"
    assert abs(rules[100]["last_match_s"] - time.time()) < 30
    assert (rules[200]["set"], rules[200]["enabled"]) == (4, False)
    assert rules[300]["enabled"] and 65535 in rules
    assert now["dataplane"] and now["generation"] > 0 and now["last_apply"]["worked"]
    assert [port["name"] for port in now["ports"]] == ["em0", "em1"]
    assert all(port["rx_packets"] > 0 for port in now["ports"])


def test_needs_nothing_from_elsewhere(appliance):
    html = get(appliance)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', html)) == {"data:,", "status.css", "status.js"}
    for path in ("status.css", "status.js"):
        assert get(appliance, path)


def test_can_be_switched_off(own_bed, build):
    with Appliance(own_bed.middle, build, metrics={"status_page": False}) as appliance:
        appliance.start_controlplane()
        assert "sluice_dataplane_up 0" in appliance.exposition()
        with pytest.raises(AssertionError, match="404"):
            get(appliance)


@needs_node
def test_rates_are_those_of_the_traffic(bed, appliance):
    appliance.load(RULES)
    first = status(appliance)
    assert bed.a.ping(bed.b.ipv4, 5)
    second = status(appliance)
    page = page_of([first, second])
    assert page["trouble"] == ""
    assert page["facts"]["data plane"] == "up" and page["facts"]["workers"] == "running"
    rows = {row[0]: row for row in page["rules"]}
    assert rows["00100"][2:4] == ["10", "840"]
    rate = 10 / (second["time_s"] - first["time_s"])
    assert float(rows["00100"][4]) == pytest.approx(rate, rel=0.1 if rate >= 10 else 0.06)
    assert rows["00100"][7] == "allow icmp from any to any // <b>pings</b>"
    assert [row[0] for row in page["ports"]] == ["em0", "em1"]
    assert [row[0] for row in page_of([second], "tcp")["rules"]] == ["00200"]
    by_packets = [int(re.sub(r"\D", "", row[2]))
                  for row in page_of([first, second], "", "packets")["rules"]]
    assert by_packets == sorted(by_packets, reverse=True) and by_packets[0] >= 10


@needs_node
def test_says_that_there_is_no_news(bed, appliance):
    appliance.load(RULES)
    now = status(appliance)
    page = page_of([now, None])
    assert page["trouble"] == "No news: nobody answers"
    assert len(page["rules"]) == 4
    # A worker that does not turn is seen, and what was zeroed has no negative rate.
    later = json.loads(json.dumps(now))
    later["time_s"] += 2
    later["rules"][0]["packets"] = 0
    page = page_of([now, later])
    assert page["facts"]["workers"] == "stalled"
    assert page["rules"][0][4] == "0"


def test_ten_thousand_rules_are_shown_in_part():
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    rule = {"set": 0, "text": "deny ip from any to any", "enabled": True, "packets": 1, "bytes": 1,
            "last_match_s": 0}
    answer = {"schema": "sluice/status/1", "time_s": 1, "started_s": 0, "version": "", "dpdk": "",
              "dataplane": False, "generation": 0, "foreign": False, "last_apply": None,
              "states": None, "workers": [], "ports": [], "drops": [], "tables": [],
              "rules": [{**rule, "number": n, "id": str(n)} for n in range(1, 10001)]}
    page = page_of([answer])
    assert len(page["rules"]) == 500 and page["shown"] == "500 of 10,000 are shown"
    assert page_of([answer], "9999")["shown"] == "1 of 10,000"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_browser(bed, appliance, tmp_path):
    appliance.load(RULES)
    assert bed.a.ping(bed.b.ipv4, 3)
    done = appliance.namespace.run(
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path}", "--virtual-time-budget=60000", "--dump-dom", PAGE_URL,
        timeout=120)
    assert done.returncode == 0, done.stderr
    assert "allow icmp from any to any // &lt;b&gt;pings&lt;/b&gt;" in done.stdout
    assert '<td class="n">00100</td><td class="n">0</td><td class="n">6</td>' in done.stdout
    # It has asked at least twice: there are rates.
    assert "…" not in done.stdout and '<p id="trouble" role="alert" hidden' in done.stdout
