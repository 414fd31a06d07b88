"""Every hour: new files into the lake, then fresh marts in `pro`.

    make_folder -> plan -> extract [range] -> begin -> load [chunk] -> finish -> deps -> build

The files of a run are loaded as one set, so that each chunk, which is a share of the ids, is merged
on its own while the order of the files is kept (docs/decisions/0006-loads-take-turns.md).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    CronTriggerTimetable,
    Param,
    TriggerRule,
    Variable,
    dag,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException

from orchestration.pipeline import alert, landing, load, report, staging
from orchestration.pipeline.dbt import DbtOverSsh

# However many workers there are, the lake's server is one.
PARALLEL_CHUNKS = 6
LAKE = Asset("data_lake.forex.customer_transactions", "forex://data_lake/customer_transactions")
MARTS = Asset("pro.data_marts", "forex://pro/data_marts")


@dag(
    dag_id="forex__customer_transactions__hourly",
    description="New CSV files into the lake, then dbt build into pro",
    doc_md=__doc__,
    # The first run is the next one that is due, not one in the past.
    schedule=CronTriggerTimetable("0 * * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
    },
    params={
        "rows_per_chunk": Param(
            100_000, type="integer", minimum=1, description="About how many rows one task merges"
        ),
    },
    on_failure_callback=alert.notifier(),
    tags=["forex"],
)
def forex__customer_transactions__hourly() -> None:
    """Describe the run."""

    @task
    def make_folder() -> str:
        """Make the run's folder for chunk files."""
        context = get_current_context()
        url = staging.run_folder(
            Variable.get("forex_staging"), context["dag"].dag_id, context["run_id"]
        )
        staging.make_folder(url)
        return url

    @task
    def plan() -> list[dict[str, Any]]:
        """Find the files that the ledger does not know, and plan their load; return the ranges."""
        context = get_current_context()
        planned = landing.plan_new_files(
            Variable.get("forex_landing"),
            load.lake(),
            context["params"]["rows_per_chunk"],
            PARALLEL_CHUNKS,
        )
        for key in ("plans", "refused", "waiting"):
            context["ti"].xcom_push(key, planned[key])
        return planned["parts"]

    @task(map_index_template="{{ label }}", max_active_tis_per_dagrun=PARALLEL_CHUNKS)
    def extract(plans: list[dict[str, Any]], folder: str, part: dict[str, Any]) -> dict[str, Any]:
        """Check the rows of one range of a file and write them out by chunk."""
        name, first = plans[part["file"]]["source_file"], part["range"]["line"]
        get_current_context()["label"] = f"{name} from line {first}"  # type: ignore[typeddict-unknown-key]
        return load.extract_part(plans, part, folder)

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def begin(plans: list[dict[str, Any]]) -> list[int]:
        """Enter the loads into the ledger; return the numbers of the chunks."""
        loads = load.begin(plans)
        get_current_context()["ti"].xcom_push("loads", loads)
        return list(range(loads[0]["chunk_count"] if loads else 0))

    @task(
        task_id="load",
        map_index_template="{{ label }}",
        max_active_tis_per_dagrun=PARALLEL_CHUNKS,
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    def load_chunk(
        loads: list[dict[str, Any]], extracts: list[dict[str, Any]], chunk: int
    ) -> list[dict[str, Any]]:
        """Merge one chunk of each file into the lake."""
        label = f"chunk {chunk + 1} of {loads[0]['chunk_count']}"
        get_current_context()["label"] = label  # type: ignore[typeddict-unknown-key]
        return load.merge_chunk(loads, list(extracts or []), chunk)

    @task(outlets=[LAKE], trigger_rule=TriggerRule.NONE_FAILED)
    def finish(loads: list[dict[str, Any]], extracts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Close the ledger's entries and tell what was loaded."""
        results = load.finish(loads, list(extracts or []))
        get_current_context()["outlet_events"][LAKE].extra = {"loads": results}
        return results

    @task(retries=0)
    def refuse(refused: list[str]) -> None:
        """Fail the run, which goes on, when a file could not be taken."""
        if refused:
            raise AirflowFailException("; ".join(refused))

    @task
    def remove_folder(folder: str) -> None:
        """Remove the chunk files, whatever became of the run."""
        staging.remove_folder(folder)

    @task
    def tell() -> str:
        """Write what the run did to the log and to the run's note."""
        context = get_current_context()
        pull = context["ti"].xcom_pull
        return report.publish(
            context,
            {
                "Loaded": report.loaded(
                    pull(task_ids="finish"),
                    {key: pull(task_ids="plan", key=key) for key in ("refused", "waiting")},
                ),
                "Built in pro": report.built(pull(task_ids="build", key="outcome")),
            },
        )

    folder = make_folder()
    planned = plan()
    extracts = extract.partial(plans=planned["plans"], folder=folder).expand(part=planned)
    begun = begin(planned["plans"])
    chunks = load_chunk.partial(loads=begun["loads"], extracts=extracts).expand(chunk=begun)
    finished = finish(begun["loads"], extracts)
    removed = remove_folder(folder).as_teardown(setups=folder)
    deps = DbtOverSsh(task_id="deps", command="dbt deps", retries=3)
    build = DbtOverSsh(
        task_id="build", command="dbt build --target pro", inlets=[LAKE], outlets=[MARTS], retries=3
    )
    folder >> planned
    refuse(planned["refused"])
    extracts >> begun
    chunks >> finished
    finished >> [removed, deps]
    deps >> build
    build >> tell().as_teardown()


forex__customer_transactions__hourly()
