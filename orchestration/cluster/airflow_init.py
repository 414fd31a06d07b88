"""First start of Airflow: its database and its two accounts, the operator's and the pipeline's own.

`python -m orchestration.cluster.airflow_init` may be run at any time; it also sets the accounts'
passwords to what the secrets say.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SECRETS = Path("/run/secrets")
# Writes what a run did into the run's note, and may do no more.
REPORTER_RIGHTS = {
    "DAGs": ("can_read", "can_edit"),
    "DAG Runs": ("can_read", "can_edit"),
}


def main() -> int:
    """Run the command line."""
    subprocess.run(["airflow", "db", "migrate"], check=True)

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
