"""What dbt's artifacts say of its last run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.report.listing import EXAMPLES, Listing, Row, some
from orchestration.warehouse.errors import UserError

Json = dict[str, Any]
BUILD = "build_results.json"
FAILED = ("error", "fail", "runtime error")
# What went wrong is told in this order; what was skipped went wrong elsewhere.
TROUBLE = (*FAILED, "warn")
TESTS = ("test", "unit_test")


@dataclass(frozen=True)
class Run:
    """dbt's last run.

    Attributes:
        ended_at: When its artifact was written.
        seconds: How long it took.
        results: Of each node, as dbt tells it.

    """

    ended_at: datetime
    seconds: float
    results: list[Json]

    @property
    def failed(self) -> bool:
        """Whether a node failed."""
        return any(result["status"] in FAILED for result in self.results)

    def of(self, *kinds: str) -> list[Json]:
        """Return the results of nodes of these kinds."""
        return [result for result in self.results if result["unique_id"].split(".")[0] in kinds]

    def summary(self) -> str:
        """Return the run in one line."""
        models, tests = _counted(self.of("model"), "models"), _counted(self.of(*TESTS), "tests")
        return f"{models}, {tests}, {self.seconds:,.0f} s"


def _counted(results: list[Json], what: str) -> str:
    """Return how many there are; by outcome, unless all went well."""
    outcomes = Counter(result["status"] for result in results)
    if outcomes.keys() <= {"success", "pass"}:
        return f"{len(results)} {what}"
    told = ", ".join(f"{count} {status}" for status, count in sorted(outcomes.items()))
    return f"{len(results)} {what} ({told})"


def artifact(target: Path, name: str) -> Json:
    """Return one of dbt's artifacts.

    Raises:
        UserError: dbt has not written it.

    """
    path = target / name
    if not path.exists():
        raise UserError(f"{path} does not exist; `make run` or `dbt build` makes it")
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def last_run(target: Path) -> Run:
    """Return dbt's last run; with the build before it, if it only tested.

    The cluster keeps a build's results for the commands that follow it.
    """
    run = artifact(target, "run_results.json")
    results, seconds = run["results"], run["elapsed_time"]
    if run["args"]["which"] == "test" and (target / BUILD).exists():
        build = artifact(target, BUILD)
        tested = {result["unique_id"] for result in results}
        results = [r for r in build["results"] if r["unique_id"] not in tested] + results
        seconds += build["elapsed_time"]
    return Run(datetime.fromisoformat(run["metadata"]["generated_at"]), seconds, results)


def models(run: Run, database: str) -> Listing:
    """Return name, what happened, rows written and seconds of each model."""
    rows = [
        (_name(result), result["status"], _written(result), round(result["execution_time"], 2))
        for result in run.of("model")
    ]
    columns = ("model", "outcome", "rows written", "s")
    return Listing(f"Built in {database}", columns, rows, len(rows), len(rows))


def _written(result: Json) -> int | str | None:
    """Return how many rows a model wrote, if it is not a view; none, if it was not built."""
    if result["status"] != "success":
        return None
    written: int | None = result["adapter_response"].get("rows_affected")
    return "view" if written in (None, -1) else written


def nothing_written(run: Run) -> bool:
    """Return whether each model was built, and none wrote a row."""
    return all(_written(result) in ("view", 0) for result in run.of("model"))


def trouble(run: Run, manifest: Json, bad_since: dict[str, datetime]) -> Listing:
    """Return what failed or warns, failures first.

    Args:
        run: dbt's run.
        manifest: dbt's manifest.
        bad_since: Start of the first run that found a node bad, by the node's id.

    """
    found = sorted(
        (result for result in run.results if result["status"] in TROUBLE),
        key=lambda result: TROUBLE.index(result["status"]),
    )
    rows: list[Row] = [
        (
            _name(result),
            result["status"],
            result["failures"],
            bad_since.get(result["unique_id"]),
            _message(result, manifest),
        )
        for result in found
    ]
    failures = sum(result["status"] in FAILED for result in found)
    shown = max(EXAMPLES, min(failures, 5 * EXAMPLES))
    columns = ("what", "outcome", "rows", "since", "message")
    title = "What failed or warns"
    return Listing(title, columns, rows[:shown], len(rows), shown, urgent=True)


def _message(result: Json, manifest: Json) -> str:
    """Return what dbt says, in one line; what a test is about, if dbt only counts rows."""
    message = " ".join((result["message"] or "").split())
    node = manifest["nodes"].get(result["unique_id"], {})
    about: str = node.get("description", "")
    return about if about and message.startswith("Got ") else message


def tests(run: Run) -> list[Listing]:
    """Return the tests by outcome, and the slowest."""
    found = run.of(*TESTS)
    outcomes = sorted(Counter(result["status"] for result in found).items())
    slowest = sorted(found, key=lambda result: result["execution_time"], reverse=True)
    seconds: list[Row] = [(_name(r), round(r["execution_time"], 2)) for r in slowest]
    return [
        some("Tests", ("outcome", "tests"), list(outcomes)),
        some("Slowest tests", ("test", "s"), seconds, brief=0),
    ]


def _name(result: Json) -> str:
    kind, _, name, *rest = result["unique_id"].split(".")
    # A unit test's id names its model, and then the test.
    return str(rest[0] if kind == "unit_test" else name)
