"""Run a DAG in one process: `python -m orchestration.tests.dags.drive DAG OUTCOME`, in Airflow's Python.

Writes the states of the run and of its tasks, and what the tasks passed on, to a JSON file.
"""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    name, outcome = sys.argv[1:]
    from airflow.models.dagbag import DBDagBag  # noqa: F401 - loads what serialisation needs
    from airflow.sdk import DAG

    module = importlib.import_module(f"orchestration.dags.{name}")
    assert not [value for value in vars(module).values() if isinstance(value, DAG)]
    run = module.made.test()
    Path(outcome).write_text(json.dumps(run))


if __name__ == "__main__":
    main()
