"""What is kept of each run: all of it, whatever the run's fate, and never at the run's expense."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from orchestration.observability.dashboards import MARTS, QUALITY
from orchestration.tests.support import Dbt, copy_checkout, load, write_csv
from orchestration.warehouse.provision import provision
from orchestration.warehouse.settings import CHECKOUT

HOSTILE = """it's "100%" $$ {{ jinja }} %(name)s \\ \\' '); drop table analyst_audit.dbt_run; --
\u2028 \U0001f600"""
# What it finds is told by a table of the tests' own.
PROBES = {
    "tests/probe.sql": "select * from probe.row",
    "tests/hostile.sql": "select * from probe.word where word::integer = 1",
    "models/bronze/broken.sql": "{{ config(materialized='table') }}"
    " select word::integer as n from probe.word",
    "models/bronze/zero.sql": "{{ exceptions.raise_compiler_error('a\\x00b') if execute }}",
    "models/bronze/child.sql": "select * from {{ ref('broken') }}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("target")


@pytest.fixture(scope="module")
def dbt(server, folder, tmp_path_factory):
    project = copy_checkout(tmp_path_factory.mktemp("project"))
    shutil.copytree(CHECKOUT / "dbt_packages", project / "dbt_packages")
    for name, text in PROBES.items():
        (project / name).write_text(text)
    # Twice: what is kept of a run, is kept once.
    settings = project / "dbt_project.yml"
    hook = '  - "{{ record_run(results) }}"\n'
    settings.write_text(settings.read_text().replace(hook, hook + hook))
    return Dbt("dev", folder, project)


@pytest.fixture
def dbt_pro(server, tmp_path):
    return Dbt("pro", tmp_path)


@pytest.fixture
def dev(analyst_connection, lake):
    """`dev` without a history, and with something for the probes to find."""
    analyst_connection.execute(
        "drop schema if exists probe, analyst_audit, analyst_bronze cascade;"
        " create schema probe create table row (n integer) create table word (word text)"
    )
    analyst_connection.execute("insert into probe.word values (%s)", [HOSTILE])
    yield analyst_connection
    analyst_connection.execute("drop schema probe cascade")


def _fails(dbt, *arguments):
    with pytest.raises(AssertionError):
        dbt(*arguments)


def _artifact(folder):
    return json.loads((folder / "run_results.json").read_text())


def test_the_history_equals_the_artifact_of_a_run_that_failed(dev, dbt, folder):
    _fails(dbt, "build", "--select", "+missing_quantity", "broken+", "zero", "probe", "hostile")
    assert "could not be written" not in (folder / "dbt.log").read_text()
    artifact = _artifact(folder)
    invocation = artifact["metadata"]["invocation_id"]
    expected = {
        (
            node["unique_id"],
            node["status"],
            node["failures"],
            (node["message"] or "").replace("\0", "")[:1000],
            round(node["execution_time"], 3),
        )
        for node in artifact["results"]
        if not node["unique_id"].startswith("operation.")
    }
    assert {status for _, status, *_ in expected} == {"success", "pass", "error", "skipped"}
    kept = dev.execute(
        "select unique_id, status, failures, coalesce(message, ''), execution_seconds::float"
        " from analyst_audit.dbt_result where invocation_id = %s",
        [invocation],
    ).fetchall()
    assert set(kept) == expected
    assert any("ab" in row[3] for row in kept if row[0].endswith(".zero"))
    assert sum('it\'s "100%" $$' in row[3] and "\U0001f600" in row[3] for row in kept) == 2
    assert dev.execute(
        "select invocation_id, target, command, full_refresh, failed, skipped,"
        " passed + warned + failed + skipped, started_at < finished_at from analyst_audit.dbt_run"
    ).fetchall() == [(invocation, "dev", "build", False, 3, 1, len(expected), True)]


def test_rows_are_counted_once_a_day_and_when_built_anew(dev, dbt):
    def counted():
        return [
            rows
            for (rows,) in dev.execute(
                "select rows_held from analyst_audit.row_count"
                " where model = 'missing_quantity' order by counted_at"
            ).fetchall()
        ]

    dbt("run", "--select", "+missing_quantity")
    dbt("run", "--select", "+missing_quantity")
    assert counted() == [0]
    dev.execute(
        "insert into analyst_bronze.missing_quantity (transaction_id, load_timestamp)"
        " values ('a', now())"
    )
    dev.execute("update analyst_audit.row_count set counted_at = counted_at - interval '1 day'")
    dbt("run", "--select", "+missing_quantity")
    assert counted() == [0, 1]
    dbt("run", "--select", "+missing_quantity", "--full-refresh")
    assert counted() == [0, 1, 0]


def test_what_builds_nothing_leaves_no_row(dev, dbt):
    dbt("test", "--select", "probe")
    for command in ("compile", "list"):
        dbt(command, "--select", "probe")
    dbt("run", "--select", "+missing_quantity", "--full-refresh")
    assert dev.execute(
        "select command, full_refresh from analyst_audit.dbt_run order by started_at"
    ).fetchall() == [("test", False), ("run", True)]


def test_since_when_it_is_bad_survives_a_full_refresh(dev, dbt, folder):
    """Good, bad, bad, good: the mart names the run of each turn."""

    def since():
        return dev.execute(
            "select status, status_since, bad_since, last_passed_at, last_run_at, failures"
            " from analyst_data_marts.data_quality_check where name = 'probe'"
        ).fetchone()

    def run(*rows):
        dev.execute("truncate probe.row")
        for row in rows:
            dev.execute("insert into probe.row values (%s)", [row])
        (_fails if rows else lambda dbt, *arguments: dbt(*arguments))(
            dbt, "test", "--select", "probe"
        )
        invocation = _artifact(folder)["metadata"]["invocation_id"]
        return dev.execute(
            "select started_at from analyst_audit.dbt_run where invocation_id = %s", [invocation]
        ).fetchone()[0]

    dbt("run", "--select", "data_quality_check")
    good = run()
    assert since() == ("pass", good, None, good, good, 0)
    bad = run(1)
    assert since() == ("fail", bad, bad, good, bad, 1)
    worse = run(1, 2)
    assert since() == ("fail", bad, bad, good, worse, 2)
    dbt("run", "--select", "data_quality_check", "--full-refresh")
    assert since() == ("fail", bad, bad, good, worse, 2)
    again = run()
    assert since() == ("pass", again, None, again, again, 0)


@pytest.mark.parametrize("reason", ["disk_full", "query_canceled"])
def test_a_history_that_cannot_be_written_fails_no_run(dev, dbt, folder, reason):
    dbt("test", "--select", "probe")
    dev.execute(
        "create function probe.refuse() returns trigger language plpgsql as"
        f" $$ begin raise {reason} using message = 'refused: {reason}'; end $$;"
        "create trigger refuse before insert on analyst_audit.dbt_result"
        " execute function probe.refuse()"
    )
    dbt("test", "--select", "probe")
    told = f"history of runs could not be written: refused: {reason}"
    assert told in (folder / "dbt.log").read_text()
    assert dev.execute("select count(*) from analyst_audit.dbt_run").fetchone() == (1,)
    assert dev.execute("select holder from analyst_audit.build_lock").fetchone() == (None,)


def test_the_dashboard_sees_the_history_of_pro(server, lake, dbt_pro, tmp_path):
    """Lines and rows of a load with every flaw, as far as Grafana's role may look."""
    load(
        write_csv(
            tmp_path / "flaws.csv",
            [
                {"transaction_id": "1"},
                {"transaction_id": "2"},  # superseded: the same sale
                {"transaction_id": "3", "price": "?"},
                {"transaction_id": "", "customer_email": "nobody"},
                {"transaction_id": "5", "customer_email": "a", "quantity": ""},
                {"transaction_id": "6", "customer_email": "b", "quantity": "2.5"},
            ],
        )
    )
    dbt_pro("build", "--full-refresh")
    with psycopg.connect(server("pro", "dashboard")) as dashboard:
        last = dashboard.execute(
            "select rows_in_lake, rows_in_silver, rows_rejected, rows_superseded,"
            " rows_unreadable_quantity, rows_missing_quantity, succeeded, full_refresh"
            " from data_marts.data_quality_run order by started_at desc limit 1"
        ).fetchone()
        assert last == (5, 3, 1, 1, 1, 1, True, True)
        assert dashboard.execute(
            "select loads, lines_read, lines_rejected, rows_rejected"
            " from data_marts.data_quality_daily order by date_day desc limit 1"
        ).fetchone() == (1, 6, 1, 1)
        for panel in (*QUALITY, *MARTS):
            for query in panel.queries:
                if panel.source == "pro":
                    assert dashboard.execute(query).fetchall(), panel.title


def test_two_users_have_histories_of_their_own(dev, server, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_USER", "second")
    provision()
    command = [Path(sys.executable).with_name("dbt"), "run", "--select", "+missing_quantity"]
    runs = [
        subprocess.Popen(
            [*command, "--target-path", tmp_path / user, "--log-path", tmp_path / user],
            cwd=CHECKOUT,
            env=os.environ | {"WAREHOUSE_USER": user},
            stdout=subprocess.DEVNULL,
        )
        for user in ("analyst", "second")
    ]
    assert [run.wait() for run in runs] == [0, 0]
    for user in ("analyst", "second"):
        with psycopg.connect(server("dev", user), autocommit=True) as connection:
            assert connection.execute(
                f"select array_agg(invocation_id) from {user}_audit.dbt_run"
            ).fetchone() == ([_artifact(tmp_path / user)["metadata"]["invocation_id"]],)
            if user == "second":
                connection.execute("drop schema second_audit, second_bronze cascade")
