"""Run a DAG in one process: `python -m orchestration.tests.dags.drive DAG OUTCOME [SKIPPED]`.

For Airflow's Python. Writes the states of the run and of its tasks, and what they passed on, to a
JSON file. Nothing is tried again, as nobody wants to wait for the back-off; the tasks that the
pattern SKIPPED matches are taken for done.
"""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    name, outcome = sys.argv[1:3]
    skipped = sys.argv[3] if len(sys.argv) > 3 else None
    from airflow import settings
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    settings.initialize()
    dag = getattr(importlib.import_module(f"orchestration.dags.{name}"), name)()
    for operator in dag.tasks:
        if hasattr(operator, "partial_kwargs"):
            operator.partial_kwargs["retries"] = 0
        else:
            operator.retries = 0
    run = dag.test(mark_success_pattern=skipped)
    with settings.Session() as session:
        passed = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id)).all()
        found = {
            "run_id": run.run_id,
            "state": str(run.state),
            "tasks": [
                {
                    "task": task.task_id,
                    "index": task.map_index,
                    "label": task.rendered_map_index,
                    "state": str(task.state),
                }
                for task in run.get_task_instances(session=session)
            ],
            "passed": [
                {
                    "task": value.task_id,
                    "index": value.map_index,
                    "key": value.key,
                    "value": XComModel.deserialize_value(value),
                }
                for value in passed
            ],
        }
    Path(outcome).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
