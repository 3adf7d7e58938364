"""What is made for Prometheus and Grafana speaks of metrics that exist, and each alert is explained and
tested."""

import json
import re
import shutil
import subprocess

import pytest
from lab.appliance import SOURCE

RULES = SOURCE / "deploy/prometheus/sluice.rules.yml"
TESTS = SOURCE / "deploy/prometheus/sluice_test.yml"
DASHBOARD = SOURCE / "deploy/grafana/sluice.json"
RUNBOOK = SOURCE / "deploy/RUNBOOK.md"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian package prometheus)")


def known_metrics():
    """Names that the control plane may expose, with what histograms add to theirs."""
    text = "".join(path.read_text() for path in (SOURCE / "controlplane/metrics").glob("*.cc"))
    names = set(re.findall(r'"(sluice_[a-z0-9_]+)"', text))
    return names | {name + tail for name in names for tail in ("_bucket", "_sum", "_count")}


def used_metrics(text):
    return set(re.findall(r"\bsluice_[a-z0-9_]+\b", text))


def alerts():
    return re.findall(r"^ *- alert: (\w+)$", RULES.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", [RULES, TESTS, DASHBOARD, RUNBOOK], ids=lambda path: path.name)
def test_metrics_exist(path):
    used = used_metrics(path.read_text()) - {"sluice_test"}
    assert used
    assert used <= known_metrics()


def test_every_alert_has_a_section_and_tests_of_both_kinds():
    names = alerts()
    assert len(names) > 10 and len(set(names)) == len(names)
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(names)
    tests = TESTS.read_text()
    for name in names:
        assert f"alertname: {name}, eval_time" in tests, f"{name}: never quiet"
        assert re.search(rf"- alertname: {name}\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels",
                         tests), f"{name}: never fires"


@needs_promtool
def test_promtool_takes_the_alerts():
    for command in (("check", "rules", RULES), ("test", "rules", TESTS)):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True,
                              cwd=TESTS.parent)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_one_that_grafana_takes():
    board = json.loads(DASHBOARD.read_text())
    assert board["id"] is None and board["uid"] and board["title"] and board["schemaVersion"] == 37
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert {"datasource", "job", "instance", "port", "rule"} <= variables
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"] and panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables, target["expr"]
            assert 'job="$job"' in target["expr"] and 'instance=~"$instance"' in target["expr"]


@needs_promtool
def test_promtool_takes_the_expressions_of_the_dashboard(tmp_path):
    board = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    expressions += [annotation["expr"] for annotation in board["annotations"]["list"]]
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, expression in enumerate(expressions):
        text = expression.replace("$__rate_interval", "1m").replace("'", "''")
        lines += [f"      - record: expression_{number}", f"        expr: '{text}'"]
    path = tmp_path / "dashboard.yml"
    path.write_text("\n".join(lines) + "\n")
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
