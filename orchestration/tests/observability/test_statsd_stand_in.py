"""The stand-in of the cluster's test does with the mapping what prom/statsd-exporter documents."""

import time

import yaml

from orchestration.cluster.statsd_stand_in import Store
from orchestration.tests.observability.names import OBSERVABILITY


def told(*lines: str) -> str:
    store = Store(yaml.safe_load((OBSERVABILITY / "statsd/mapping.yml").read_text()))
    for line in lines:
        store.take(line)
    return store.text()


def test_a_timer_becomes_a_histogram_of_seconds():
    text = told(*["airflow.dagrun.duration.success,dag_id=a,run_type=manual:1500|ms"] * 2)
    labels = 'dag_id="a",run_type="manual",state="success"'
    assert f'airflow_dagrun_seconds_bucket{{{labels},le="1"}} 0.0' in text
    assert f'airflow_dagrun_seconds_bucket{{{labels},le="2.5"}} 2.0' in text
    assert f'airflow_dagrun_seconds_bucket{{{labels},le="+Inf"}} 2.0' in text
    assert f"airflow_dagrun_seconds_sum{{{labels}}} 3.0" in text
    assert f"airflow_dagrun_seconds_count{{{labels}}} 2.0" in text


def test_counters_add_and_gauges_replace():
    text = told(
        "airflow.scheduler_heartbeat:1|c",
        "airflow.scheduler_heartbeat:2|c",
        "airflow.dag_processing.import_errors:3|g",
        "airflow.dag_processing.import_errors:1|g",
    )
    assert 'airflow_heartbeats_total{component="scheduler"} 3.0' in text
    assert "airflow_dag_import_errors 1.0" in text


def test_what_is_not_mapped_is_dropped():
    assert told("airflow.pool.open_slots,pool_name=a:1|g", "nonsense") == ""


def test_a_worker_that_is_gone_leaves_no_series(monkeypatch):
    store = Store(yaml.safe_load((OBSERVABILITY / "statsd/mapping.yml").read_text()))
    store.take("airflow.worker.heartbeat,hostname=a:1|c")
    assert store.text() != ""
    later = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert store.text() == ""
