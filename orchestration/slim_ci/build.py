"""Build and test what a change touches: `python -m orchestration.slim_ci.build --target ci|dev`.

Unchanged parents are read from `pro`. What is built is built twice: whole, then again as an
increment, which must find nothing left to do. Without a state, everything is built.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, cast

from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from orchestration.slim_ci import changes, report, schemas, state
from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.settings import CHECKOUT


class Dbt:
    """dbt in this process, on one target, parsed once."""

    def __init__(self, project: Path, target: str, artifacts: Path) -> None:
        self._options = [
            *("--target", target),
            *("--project-dir", str(project)),
            *("--profiles-dir", str(CHECKOUT / "profiles")),
            *("--target-path", str(artifacts)),
            *("--log-path", str(artifacts)),
        ]
        self._parsed: Manifest | None = None
        outcome = self("--quiet", "parse")
        if not outcome.success:
            raise UserError(f"dbt cannot read the project: {outcome.exception}")
        self._parsed = cast(Manifest, outcome.result)
        self.manifest: dict[str, Any] = json.loads((artifacts / "manifest.json").read_text())

    def __call__(self, *arguments: str) -> dbtRunnerResult:
        """Run a command."""
        return dbtRunner(manifest=self._parsed).invoke([*arguments, *self._options])


def select(dbt: Dbt, found: state.State | None, project: Path) -> tuple[list[str], changes.Changes]:
    """Return dbt's arguments for what is to be built, and why."""
    if found is None:
        return [], changes.Changes(everything=["there is no state to compare with"])
    touched = changes.find(found, dbt.manifest, project)
    chosen = touched.selection()
    if chosen:
        chosen += ["--defer", "--favor-state", "--state", str(found.folder)]
    return chosen, touched


def listed(dbt: Dbt, chosen: list[str]) -> list[str]:
    """Return the ids of the nodes that dbt's arguments select."""
    outcome = dbt(
        *("--log-level", "none", "list", *chosen, "--exclude-resource-type", "exposure"),
        *("--exclude-resource-type", "source", "--output", "json", "--output-keys", "unique_id"),
    )
    if not outcome.success:
        raise UserError(f"dbt cannot select: {outcome.exception}")
    return [json.loads(line)["unique_id"] for line in cast(list[str], outcome.result)]


def build(target: str, folder: Path, project: Path = CHECKOUT) -> int:
    """Build what is touched, report it, and return the exit code."""
    started = time.monotonic()
    artifacts = project / "target" / "slim_ci"
    if artifacts.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UserError(
            f"{folder} holds this build's own artifacts; a state has a folder of its own"
        )
    found = state.read(folder)
    dbt = Dbt(project, target, artifacts)
    chosen, touched = select(dbt, found, project)
    nodes = listed(dbt, chosen)
    told = report.Report(dbt.manifest, found, touched, nodes, settings_role(target))
    if nodes:
        kinds = ("--exclude-resource-type", "exposure")
        told.built(dbt("build", "--full-refresh", *kinds, *chosen))
        increments = [n for n in nodes if _is_incremental(dbt.manifest, n)]
        if increments and told.succeeded:
            names = ["fqn:" + ".".join(dbt.manifest["nodes"][n]["fqn"]) for n in increments]
            deferred = chosen[chosen.index("--defer") :] if chosen else []
            told.built_again(dbt("run", "--select", *names, *deferred))
    told.publish(artifacts / "report.md", time.monotonic() - started)
    return 0 if told.succeeded else 1


def _is_incremental(manifest: dict[str, Any], node: str) -> bool:
    return bool(
        node.startswith("model.")
        and manifest["nodes"][node]["config"]["materialized"] == "incremental"
    )


def settings_role(target: str) -> str:
    """Role that a target builds as; it reads `pro` as well."""
    return "dbt_ci" if target == "ci" else settings.analyst()


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.slim_ci.build", description=__doc__)
    parser.add_argument("--target", choices=["ci", "dev"], required=True)
    parser.add_argument("--state", type=Path, default=CHECKOUT / "state")
    arguments = parser.parse_args()
    schemas.prefix()
    return build(arguments.target, arguments.state.absolute())


if __name__ == "__main__":
    sys.exit(main())
