"""First start of Airflow: its database and its two accounts, the operator's and the pipeline's own.

`python -m orchestration.cluster.airflow_init` may be run at any time; it also sets the accounts'
passwords to what the secrets say. The database gets a role for metrics.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

SECRETS = Path("/run/secrets")
# Writes what a run did into the run's note, and may do no more.
REPORTER_RIGHTS = {
    "DAGs": ("can_read", "can_edit"),
    "DAG Runs": ("can_read", "can_edit"),
}
# What the role `monitor` may read; not the configuration of a run, which may hold anything.
MONITORED = {
    "dag": ("dag_id", "is_paused", "is_stale", "next_dagrun_create_after"),
    "dag_run": ("dag_id", "state", "start_date", "end_date"),
    "task_instance": ("state",),
}


def _let_monitor_in(password: str) -> None:
    from airflow.configuration import conf

    url = conf.get("database", "sql_alchemy_conn").replace("+psycopg2", "")
    with psycopg.connect(url) as connection:
        if not connection.execute("select 1 from pg_roles where rolname = 'monitor'").fetchone():
            connection.execute("create role monitor login")
        # Hashed here, so that no statement and no server log ever holds the password.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), b"monitor", b"scram-sha-256"
        ).decode()
        connection.execute(
            sql.SQL("alter role monitor with nosuperuser password {}").format(sql.Literal(verifier))
        )
        connection.execute("grant pg_monitor to monitor")
        for table, columns in MONITORED.items():
            connection.execute(
                sql.SQL("grant select ({}) on {} to monitor").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
                )
            )


def main() -> int:
    """Run the command line."""
    subprocess.run(["airflow", "db", "migrate"], check=True)
    _let_monitor_in((SECRETS / "airflow_monitor_password").read_text())

    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        reporter = manager.find_role("Reporter") or manager.add_role("Reporter")
        for resource, actions in REPORTER_RIGHTS.items():
            for action in actions:
                manager.add_permission_to_role(
                    reporter, manager.create_permission(action, resource)
                )
        for name, role in (("admin", manager.find_role("Admin")), ("reporter", reporter)):
            password = (SECRETS / f"airflow_{name}_password").read_text()
            user = manager.find_user(username=name)
            if user:
                manager.reset_password(user.id, password)
            else:
                mail = f"{name}@localhost"
                manager.add_user(name, name, "forex", mail, role, password=password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
