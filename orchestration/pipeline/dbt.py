"""dbt, run in its own container over SSH."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException

from orchestration.cluster.dbt_gate import OUTCOME

# Without a line of output for so long, dbt is taken for dead.
SILENT_SECONDS = 3600
SHOWN_FAILURES = 10


class DbtError(AirflowException):
    """A dbt command failed; the text names what failed in it."""


class DbtOverSsh(SSHOperator):
    """Run one of the commands that the gate permits; return dbt's outcome.

    dbt's own output is the task's log. When the task is killed, the connection ends, and with that
    dbt. A failure names the models and tests that failed.

    Args:
        command: One of `orchestration.cluster.dbt_gate.COMMANDS`.
        kwargs: Arguments of every operator.

    """

    def __init__(self, *, command: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(command=command, ssh_conn_id="dbt", cmd_timeout=SILENT_SECONDS, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the command."""
        with self.get_ssh_client() as client:
            code, output, errors = self.hook.exec_ssh_client_command(
                client, self.command, get_pty=False, environment=None, timeout=self.cmd_timeout
            )
        outcome = _outcome(output)
        context["ti"].xcom_push(key="outcome", value=outcome)
        if code:
            raise DbtError(_reason(self.command, code, outcome, errors))
        if not outcome:
            raise DbtError(f"'{self.command}' told no outcome: its connection broke")
        for asset in self.outlets:
            context["outlet_events"][asset].extra = {
                "models": {model["name"]: model["rows"] for model in outcome["models"]},
                "tests": outcome["tests"],
            }
        return outcome


def _outcome(output: bytes) -> dict[str, Any]:
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        if line.startswith(OUTCOME):
            found: dict[str, Any] = json.loads(line.removeprefix(OUTCOME))
            return found
    return {}


def _reason(command: str | None, code: int, outcome: dict[str, Any], errors: bytes) -> str:
    failed = outcome.get("failed", [])
    if failed:
        named = [f"{node['name']} ({node['message']})" for node in failed[:SHOWN_FAILURES]]
        more = len(failed) - SHOWN_FAILURES
        named += [f"and {more} more"] if more > 0 else []
        return f"'{command}' failed in {'; '.join(named)}"
    last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"'{command}' ended with exit code {code}; " + (
        last[0] if last else "the log above says why"
    )
