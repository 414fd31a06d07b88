"""Every night: is the source fresh, is all of `pro` right, is it documented, published, tidied."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Asset, CronTriggerTimetable, TriggerRule, dag, get_current_context, task

from orchestration.pipeline import alert, report
from orchestration.pipeline.dbt import DbtOverSsh

MANIFEST = Asset("pro.manifest", "forex://pro/manifest")
MARTS = Asset("pro.data_marts", "forex://pro/data_marts")


@dag(
    dag_id="forex__warehouse__nightly",
    description="Freshness, full dbt build and tests, documentation, manifest, maintenance",
    doc_md=__doc__,
    # The first run is the next one that is due, not one in the past.
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
    },
    on_failure_callback=alert.notifier(),
    tags=["forex"],
)
def forex__warehouse__nightly() -> None:
    """Describe the run."""

    @task
    def tell() -> str:
        """Write what the run did to the log and to the run's note."""
        context = get_current_context()
        pull = context["ti"].xcom_pull
        stale = (pull(task_ids="freshness", key="outcome") or {}).get("failed", [])
        late = [f"- late: {source['name']} {source['message']}" for source in stale]
        return report.publish(
            context,
            {
                "Freshness": late or ["- every source is fresh"],
                "Built in pro": report.built(pull(task_ids="build", key="outcome")),
                "All of pro tested": report.built(pull(task_ids="test", key="outcome")),
            },
        )

    # A late source is told, and the rest goes on; trying again would not make it fresh.
    freshness = DbtOverSsh(
        task_id="freshness", command="dbt source freshness --target pro", retries=0
    )
    deps = DbtOverSsh(task_id="deps", command="dbt deps")
    build = DbtOverSsh(task_id="build", command="dbt build --target pro", outlets=[MARTS])
    # The build has tested what changed; this tests every row.
    test = DbtOverSsh(task_id="test", command="dbt test --target pro")
    # Of the last day, however the build and the tests ended.
    page = DbtOverSsh(task_id="report", command="report", trigger_rule=TriggerRule.ALL_DONE)
    docs = DbtOverSsh(task_id="docs", command="dbt docs generate --target pro")
    publish = DbtOverSsh(task_id="publish", command="publish", outlets=[MANIFEST])
    maintain = DbtOverSsh(task_id="maintain", command="maintain")
    told = tell().as_teardown()
    deps >> [freshness, build]
    build >> test >> docs >> publish >> told
    build >> maintain >> told
    [freshness, test >> page] >> told


forex__warehouse__nightly()
