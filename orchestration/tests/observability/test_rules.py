"""Prometheus' configuration: it is valid, and every alert is tested and has a page."""

import shutil
import subprocess

import pytest
import yaml

from orchestration.warehouse.settings import CHECKOUT

PROMETHEUS = CHECKOUT / "orchestration/observability/prometheus"


def alerts() -> list[dict]:
    groups = yaml.safe_load((PROMETHEUS / "rules/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_fires_and_stays_silent_when_it_should():
    if not shutil.which("promtool"):
        pytest.skip("no promtool on this machine; on Debian, install prometheus or promtool")
    tests = PROMETHEUS / "tests/alerts.yml"
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested():
    tests = yaml.safe_load((PROMETHEUS / "tests/alerts.yml").read_text())["tests"]
    fired = {
        alert["alertname"]
        for test in tests
        for alert in test.get("alert_rule_test", [])
        if alert.get("exp_alerts")
    }
    assert fired == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_a_page(alert):
    page = CHECKOUT / alert["annotations"]["runbook"]
    text = page.read_text()
    assert page.stem == alert["alert"]
    for part in ("What it means.", "How to look.", "What to do."):
        assert f"**{part}**" in text


def test_no_page_is_left_of_an_alert_that_is_gone():
    pages = {page.stem for page in (CHECKOUT / "docs/operations/alerts").glob("*.md")}
    assert pages == {alert["alert"] for alert in alerts()}
