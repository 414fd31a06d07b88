"""Runs and queues from Airflow's own database.

Airflow's StatsD tells what happens while somebody listens; whether a run is late must also be known
after a restart, so that is asked where it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from orchestration.observability.exporter.exposition import Metric, gauge

DAGS = """
    select dag_id, is_paused, extract(epoch from next_dagrun_create_after)
    from dag where not is_stale
"""
RUNS = """
    select distinct on (dag_id, state)
        dag_id, state, extract(epoch from end_date), extract(epoch from end_date - start_date)
    from dag_run
    where state in ('success', 'failed')
    order by dag_id, state, end_date desc
"""
RUNNING = """
    select dag_id, extract(epoch from clock_timestamp() - min(start_date))
    from dag_run where state = 'running' group by dag_id
"""
TASKS = """
    select state, count(*) from task_instance
    where state in ('scheduled', 'queued', 'running', 'up_for_retry', 'restarting', 'deferred')
    group by state
"""
UNFINISHED = ("scheduled", "queued", "running", "up_for_retry")


def collect(connection: psycopg.Connection[Any], workers: int) -> Iterator[Metric]:
    """Return the metrics of runs.

    Args:
        connection: To Airflow's database, as the role `monitor`.
        workers: How many workers there should be.

    """
    yield gauge("forex_workers_expected", "How many workers there should be.", workers)
    paused = gauge("forex_dag_paused", "Whether a DAG is paused.")
    due = gauge("forex_dag_next_run_timestamp_seconds", "When the next run is to be made.")
    for dag, is_paused, when in connection.execute(DAGS):
        paused.add(is_paused, dag_id=dag)
        due.add(when, dag_id=dag)
    ended = gauge("forex_dag_last_end_timestamp_seconds", "When a run last ended in a state.")
    took = gauge("forex_dag_last_run_seconds", "How long the last run that ended in a state took.")
    for dag, state, when, seconds in connection.execute(RUNS):
        ended.add(when, dag_id=dag, state=state)
        took.add(seconds, dag_id=dag, state=state)
    running = gauge("forex_dag_running_seconds", "For how long the oldest running run has run.")
    for dag, seconds in connection.execute(RUNNING):
        running.add(seconds, dag_id=dag)
    tasks = gauge("forex_task_instances", "Unfinished task instances by state.")
    counts = dict.fromkeys(UNFINISHED, 0) | dict(connection.execute(TASKS).fetchall())
    for state, count in counts.items():
        tasks.add(count, state=state)
    yield from (paused, due, ended, took, running, tasks)
