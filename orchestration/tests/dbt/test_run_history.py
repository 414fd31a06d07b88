"""What is kept of each run: all of it, whatever the run's fate, and never at the run's expense."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from orchestration.tests.support import Dbt, copy_checkout
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
    return Dbt("dev", folder, project)


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
    _fails(dbt, "build", "--select", "+missing_quantity", "broken+", "probe", "hostile")
    artifact = _artifact(folder)
    invocation = artifact["metadata"]["invocation_id"]
    expected = {
        (
            node["unique_id"],
            node["status"],
            node["failures"],
            (node["message"] or "")[:1000],
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
    assert sum('it\'s "100%" $$' in row[3] and "\U0001f600" in row[3] for row in kept) == 2
    assert dev.execute(
        "select invocation_id, target, command, full_refresh, failed, skipped,"
        " passed + warned + failed + skipped, started_at < finished_at from analyst_audit.dbt_run"
    ).fetchall() == [(invocation, "dev", "build", False, 2, 1, len(expected), True)]


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


def test_a_history_that_cannot_be_written_fails_no_run(dev, dbt, folder):
    dbt("test", "--select", "probe")
    dev.execute(
        "alter table analyst_audit.dbt_result add constraint none check (name is null) not valid"
    )
    dbt("test", "--select", "probe")
    assert "history of runs could not be written: new row" in (folder / "dbt.log").read_text()
    assert dev.execute("select count(*) from analyst_audit.dbt_run").fetchone() == (1,)
    assert dev.execute("select holder from analyst_audit.build_lock").fetchone() == (None,)


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
