"""The DAGs as Airflow sees them: they import without an error and are built as they should be."""

import json
import os
import subprocess

import pytest

from orchestration.tests.dags.conftest import AIRFLOW
from orchestration.warehouse.settings import CHECKOUT

SHOW = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
found = {
    dag.dag_id: {
        "file": dag.fileloc,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "alert": type(dag.on_failure_callback).__name__,
        "tasks": {
            task.task_id: {
                "retries": task.retries,
                "backoff": task.retry_exponential_backoff,
                "mapped": task.is_mapped,
                "at_once": task.max_active_tis_per_dagrun,
                "teardown": task.is_teardown,
                "outlets": [asset.name for asset in task.outlets],
                "command": getattr(task, "command", None),
                "after": sorted(task.upstream_task_ids),
            }
            for task in dag.tasks
        },
    }
    for dag in bag.dags.values()
}
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def dags(airflow_folder):
    environment = os.environ | {
        "AIRFLOW_HOME": str(airflow_folder / "structure"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": str(CHECKOUT),
    }
    done = subprocess.run(
        [
            str(AIRFLOW),
            "-W",
            "error::DeprecationWarning:orchestration",
            "-c",
            SHOW,
            "orchestration/dags",
        ],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "FOUND" in done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.split("FOUND", 1)[1].splitlines()[0])


def test_there_are_two_each_in_a_file_of_its_name(dags):
    assert sorted(dags) == ["forex__customer_transactions__hourly", "forex__warehouse__nightly"]
    for name, dag in dags.items():
        assert dag["file"].endswith(f"/{name}.py")


def test_one_run_at_a_time_and_no_catching_up(dags):
    for dag in dags.values():
        assert dag["max_active_runs"] == 1
        assert dag["catchup"] is False
        assert dag["alert"] == "LogNotifier"


def test_the_middle_of_a_load_is_mapped_and_bounded(dags):
    tasks = dags["forex__customer_transactions__hourly"]["tasks"]
    assert {name for name, task in tasks.items() if task["mapped"]} == {"extract", "load"}
    assert {task["at_once"] for task in tasks.values() if task["mapped"]} == {6}


def test_tasks_are_tried_again_with_back_off(dags):
    for dag in dags.values():
        for name, task in dag["tasks"].items():
            if name not in ("refuse", "freshness"):
                assert task["retries"] >= 2
                assert task["backoff"]


def test_what_a_run_leaves_is_removed_and_told_also_when_it_fails(dags):
    tasks = dags["forex__customer_transactions__hourly"]["tasks"]
    assert {name for name, task in tasks.items() if task["teardown"]} == {"remove_folder", "tell"}


def test_dbt_runs_after_the_load_and_assets_are_emitted(dags):
    tasks = dags["forex__customer_transactions__hourly"]["tasks"]
    assert tasks["deps"]["command"] == "dbt deps"
    assert tasks["deps"]["after"] == ["finish"]
    assert tasks["build"]["command"] == "dbt build --target pro"
    assert tasks["finish"]["outlets"] == ["data_lake.forex.customer_transactions"]
    assert tasks["build"]["outlets"] == ["pro.data_marts"]


def test_the_night_does_all_that_it_should(dags):
    tasks = dags["forex__warehouse__nightly"]["tasks"]
    assert set(tasks) == {
        *("freshness", "deps", "build", "test", "report", "docs", "publish", "maintain", "tell"),
    }
    assert tasks["test"]["command"] == "dbt test --target pro"
    assert tasks["test"]["after"] == ["build"]
    assert tasks["report"]["after"] == ["test"]
    # The pages that Airflow shows are those of the build before them.
    assert tasks["docs"]["command"] == "dbt docs generate --target pro"
    assert tasks["docs"]["after"] == ["test"]
    assert tasks["publish"]["after"] == ["docs"]


ALERT = """
import json, os
from airflow.sdk import DAG
from orchestration.pipeline.alert import notifier
notifier()({"dag": DAG("some_dag", schedule=None), "run_id": "r1", "run_after": "today"})
"""


def test_an_alert_goes_where_the_environment_says(airflow_folder, tmp_path):
    told = tmp_path / "alert"
    environment = os.environ | {
        "AIRFLOW_HOME": str(airflow_folder / "structure"),
        "PYTHONPATH": str(CHECKOUT),
        "FOREX_ALERT_NOTIFIER": "orchestration.tests.dags.alerts.FileNotifier",
        "FOREX_ALERT_ARGUMENTS": json.dumps({"path": str(told)}),
    }
    subprocess.run([str(AIRFLOW), "-c", ALERT], cwd=CHECKOUT, env=environment, check=True)
    assert told.read_text() == "some_dag failed: run r1 of today. "
