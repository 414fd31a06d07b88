"""The exporter beside the warehouse, on a real server and real artifacts of dbt."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import psycopg
import pytest

from orchestration.cluster import dbt_gate
from orchestration.observability.exporter import __main__ as exporter
from orchestration.observability.exporter.exposition import gauge, render
from orchestration.tests.support import Dbt, load, write_csv
from orchestration.warehouse import settings


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    folder = tmp_path / "target"
    folder.mkdir()
    password = tmp_path / "password"
    password.write_text(settings.passwords()["monitor"])
    monkeypatch.setenv("DBT_TARGET_PATH", str(folder))
    monkeypatch.setenv("MONITOR_HOST", settings.host())
    monkeypatch.setenv("MONITOR_PORT", str(settings.port()))
    monkeypatch.setenv("MONITOR_PASSWORD_FILE", str(password))
    return folder


def scrape() -> dict[str, float]:
    """Samples by name and labels."""
    lines = render(exporter.of_warehouse()).splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def test_the_ledger_is_told_row_for_row(lake, artifacts, tmp_path):
    rows = [{"transaction_id": name} for name in ("1", "2", "3", "3", "")]
    load(write_csv(tmp_path / "a.csv", rows))
    rows = [{"transaction_id": "1", "price": "99"}, {"transaction_id": "2"}]
    load(write_csv(tmp_path / "b.csv", rows))
    lake.execute("insert into forex.load_ledger (source_file, content_sha256) values ('c.csv', '')")
    found = scrape()
    assert found["forex_loads_total"] == 2
    assert found["forex_loads_unfinished"] == 1
    assert {
        outcome: found[f'forex_load_rows_total{{outcome="{outcome}"}}']
        for outcome in ("inserted", "updated", "unchanged", "superseded", "rejected")
    } == {"inserted": 3, "updated": 1, "unchanged": 1, "superseded": 1, "rejected": 1}
    assert time.time() - found["forex_load_last_finish_timestamp_seconds"] < 60


def test_an_empty_lake_is_told_as_zeros(lake, artifacts):
    found = scrape()
    assert found["forex_loads_total"] == found['forex_load_rows_total{outcome="rejected"}'] == 0
    assert found["forex_lake_to_gold_lag_seconds"] == 0
    assert not [name for name in found if "dbt" in name]


def test_a_load_waits_until_a_build_that_began_later_succeeds(lake, artifacts, tmp_path):
    dbt = Dbt("pro", artifacts)

    def build(code: int) -> dict[str, float]:
        started = time.time()
        dbt("build", "--full-refresh", "--select", "bronze")
        dbt_gate.keep_build(started, code)
        return scrape()

    load(write_csv(tmp_path / "a.csv", [{"transaction_id": "1"}, {"transaction_id": "2"}]))
    assert scrape()["forex_lake_to_gold_lag_seconds"] > 0
    failed = build(1)
    assert failed["forex_lake_to_gold_lag_seconds"] > 0
    assert failed["forex_dbt_build_success"] == 0
    assert "forex_dbt_last_success_timestamp_seconds" not in failed

    built = build(0)
    assert built["forex_lake_to_gold_lag_seconds"] == 0
    assert built["forex_dbt_build_success"] == 1
    assert built['forex_dbt_node_seconds{node="missing_quantity"}'] > 0
    tests = [value for name, value in built.items() if 'resource_type="test"' in name]
    results = json.loads((artifacts / "build_results.json").read_text())["results"]
    assert sum(tests) == sum(result["unique_id"].startswith("test.") for result in results) > 0

    # Nothing differs, so nothing waits.
    load(write_csv(tmp_path / "b.csv", [{"transaction_id": "1"}]))
    assert scrape()["forex_lake_to_gold_lag_seconds"] == 0
    load(write_csv(tmp_path / "c.csv", [{"transaction_id": "1", "price": "7"}]))
    waiting = scrape()
    assert waiting["forex_lake_to_gold_lag_seconds"] > 0
    assert waiting["forex_dbt_last_success_timestamp_seconds"] > time.time() - 600


def test_results_of_another_command_are_not_a_builds(artifacts):
    (artifacts / "run_results.json").write_text("{}")
    os.utime(artifacts / "run_results.json", (0, 0))
    dbt_gate.keep_build(time.time(), 0)
    assert not (artifacts / "build_results.json").exists()


def test_freshness_is_told(lake, artifacts, tmp_path):
    load(write_csv(tmp_path / "a.csv", [{"transaction_id": "1"}]))
    Dbt("pro", artifacts)("source", "freshness")
    found = scrape()
    assert found['forex_source_stale{source="forex.customer_transactions"}'] == 0
    newest = 'forex_source_max_loaded_timestamp_seconds{source="forex.customer_transactions"}'
    assert time.time() - found[newest] < 60


def test_labels_are_quoted():
    metric = gauge("told", 'a "quoted"\nhelp')
    metric.add(1, name='a"b\\c\nd')
    assert render([metric]) == (
        '# HELP told a "quoted"\\nhelp\n# TYPE told gauge\ntold{name="a\\"b\\\\c\\nd"} 1.0\n'
    )


@contextmanager
def serving(collect):
    server = ThreadingHTTPServer(("127.0.0.1", 0), exporter.handler(collect))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda path: urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}")
    server.shutdown()
    server.server_close()


def test_a_scrape_fails_when_the_database_does_not_answer():
    def broken():
        yield gauge("told", "Help.", 1)
        raise psycopg.OperationalError("gone")

    with serving(broken) as get, pytest.raises(urllib.error.HTTPError, match="503"):
        get("/metrics")


def test_the_format_is_prometheus_own(lake, artifacts, tmp_path):
    load(write_csv(tmp_path / "a.csv", [{"transaction_id": "1"}]))
    with serving(exporter.of_warehouse) as get:
        with get("/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get("/")
    assert re.search(rb"^forex_loads_total 1.0$", text, re.MULTILINE)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
