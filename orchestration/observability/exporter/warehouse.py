"""Loads from the lake's ledger, builds from dbt's artifacts, room from the file systems."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from orchestration.observability.exporter.exposition import Metric, counter, gauge

OUTCOMES = ("inserted", "updated", "unchanged", "superseded", "rejected")
TESTS = ("test", "unit_test")
LEDGER = """
    select
        count(*) filter (where finished_at is not null) as finished,
        count(*) filter (where finished_at is null) as unfinished,
        coalesce(sum(rows_inserted), 0) as inserted,
        coalesce(sum(rows_updated), 0) as updated,
        coalesce(sum(rows_unchanged), 0) as unchanged,
        coalesce(sum(rows_superseded), 0) as superseded,
        coalesce(sum(rows_rejected), 0) as rejected,
        extract(epoch from max(finished_at)) as last_finish,
        extract(epoch from sum(finished_at - started_at)) as seconds
    from forex.load_ledger
"""
# A load that a build may not have seen: it finished after the build began to read.
WAITING = """
    select extract(epoch from clock_timestamp() - min(finished_at))
    from forex.load_ledger
    where finished_at > %s and rows_inserted + rows_updated > 0
"""

Json = dict[str, Any]


def collect(
    connection: psycopg.Connection[Any], artifacts: Path, volumes: Path
) -> Iterator[Metric]:
    """Return the metrics of loads, builds and room.

    Args:
        connection: To the database of the lake, as the role `monitor`.
        artifacts: The folder in which the gate leaves dbt's results.
        volumes: A folder whose subfolders are file systems to watch.

    """
    yield from ledger(connection)
    build, success = (_artifact(artifacts, f"build_{name}.json") for name in ("results", "success"))
    yield waiting(connection, success)
    yield from builds(build, success)
    yield from freshness(_artifact(artifacts, "sources.json"))
    yield from room(volumes)


def _artifact(folder: Path, name: str) -> Json | None:
    file = folder / name
    if not file.exists():
        return None
    found: Json = json.loads(file.read_text())
    return found


def ledger(connection: psycopg.Connection[Any]) -> Iterator[Metric]:
    """Return what the ledger says of all loads."""
    cursor = connection.execute(LEDGER)
    names = [column.name for column in cursor.description or []]
    found = dict(zip(names, cursor.fetchone() or [], strict=True))
    yield counter("forex_loads_total", "Finished loads.", found["finished"])
    yield gauge(
        "forex_loads_unfinished", "Loads that run, or that died half-way.", found["unfinished"]
    )
    rows = counter("forex_load_rows_total", "Rows of finished loads, by what became of them.")
    for outcome in OUTCOMES:
        rows.add(found[outcome], outcome=outcome)
    yield rows
    yield counter("forex_load_seconds_total", "Time that finished loads took.", found["seconds"])
    yield gauge(
        "forex_load_last_finish_timestamp_seconds",
        "When a load last finished.",
        found["last_finish"],
    )


def waiting(connection: psycopg.Connection[Any], success: Json | None) -> Metric:
    """Return how long the oldest loaded change has been waiting to reach gold."""
    since = _began(success) if success else datetime.fromtimestamp(0, UTC)
    row = connection.execute(WAITING, [since]).fetchone()
    return gauge(
        "forex_lake_to_gold_lag_seconds",
        "For how long the oldest finished load has been waiting for a successful build.",
        (row and row[0]) or 0,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _began(results: Json) -> datetime:
    return _moment(results["metadata"]["invocation_started_at"])


def builds(build: Json | None, success: Json | None) -> Iterator[Metric]:
    """Return what dbt's results say of the last build, and when one last succeeded."""
    if success:
        yield gauge(
            "forex_dbt_last_success_timestamp_seconds",
            "When the last successful build ended.",
            _moment(success["metadata"]["generated_at"]).timestamp(),
        )
    if not build:
        return
    yield gauge(
        "forex_dbt_build_timestamp_seconds",
        "When the last build ended.",
        _moment(build["metadata"]["generated_at"]).timestamp(),
    )
    yield gauge("forex_dbt_build_seconds", "How long the last build took.", build["elapsed_time"])
    yield gauge(
        "forex_dbt_build_success", "Whether the last build succeeded.", float(build == success)
    )
    yield from _nodes(build["results"])


def _nodes(results: list[Json]) -> Iterator[Metric]:
    seconds = gauge("forex_dbt_node_seconds", "How long a model took in the last build.")
    written = gauge("forex_dbt_node_rows", "Rows that the last build wrote to a model.")
    failures = gauge("forex_dbt_test_failures", "Rows that a test of the last build found.")
    outcomes = gauge("forex_dbt_nodes", "Nodes of the last build by kind and outcome.")
    statuses: Counter[tuple[str, str]] = Counter()
    tests_seconds = 0.0
    for result in results:
        kind, _, node = result["unique_id"].split(".", 2)
        statuses[kind, result["status"]] += 1
        if kind in TESTS:
            tests_seconds += result["execution_time"]
            failures.add(result["failures"], test=node, status=result["status"])
        else:
            seconds.add(result["execution_time"], node=node)
            rows = result["adapter_response"].get("rows_affected", -1)
            written.add(rows if rows >= 0 else None, node=node)
    for (kind, status), count in sorted(statuses.items()):
        outcomes.add(count, resource_type=kind, status=status)
    tests = gauge("forex_dbt_tests_seconds", "How long all tests took.", tests_seconds)
    yield from (seconds, written, failures, outcomes, tests)


def freshness(sources: Json | None) -> Iterator[Metric]:
    """Return what the last `dbt source freshness` found."""
    if not sources:
        return
    newest = gauge(
        "forex_source_max_loaded_timestamp_seconds", "Newest row of a source, when last looked at."
    )
    stale = gauge("forex_source_stale", "0 fresh, 1 past the warning's age, 2 past the error's.")
    for result in sources["results"]:
        source = result["unique_id"].split(".", 2)[2]
        status = {"pass": 0, "warn": 1}.get(result["status"], 2)
        stale.add(status, source=source)
        if "max_loaded_at" in result:
            newest.add(_moment(result["max_loaded_at"]).timestamp(), source=source)
    yield from (newest, stale)


def room(volumes: Path) -> Iterator[Metric]:
    """Return the size and the free room of each file system below a folder."""
    size = gauge("forex_volume_size_bytes", "Size of the file system of a volume.")
    free = gauge("forex_volume_free_bytes", "Room for its users on the file system of a volume.")
    for volume in sorted(volumes.iterdir()) if volumes.exists() else []:
        status = os.statvfs(volume)
        size.add(status.f_blocks * status.f_frsize, volume=volume.name)
        free.add(status.f_bavail * status.f_frsize, volume=volume.name)
    yield from (size, free)
