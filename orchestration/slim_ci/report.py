"""What a build did, in Markdown: for the terminal, the job's summary and the pull request."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from dbt.cli.main import dbtRunnerResult
from psycopg import sql

from orchestration.slim_ci.changes import Changes
from orchestration.slim_ci.state import State
from orchestration.warehouse import settings

FAILED = ("error", "fail", "runtime error")
COUNTED = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")
SHOWN = 20
Relation = tuple[str, str, str]  # database, schema, name


class Report:
    """Collects what happened and tells it."""

    def __init__(
        self,
        manifest: dict[str, Any],
        state: State | None,
        changes: Changes,
        nodes: list[str],
        role: str,
    ) -> None:
        self._manifest, self._state, self._changes = manifest, state, changes
        self._nodes, self._role = nodes, role
        self._results: list[Any] = []
        self._failures: list[str] = []
        self._again = ""

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed."""
        return not self._failures

    def _collect(self, outcome: dbtRunnerResult, what: str) -> list[Any]:
        results = list(getattr(outcome.result, "results", None) or [])
        failed = [r for r in results if r.status in FAILED]
        for result in failed:
            self._failures.append(f"`{result.node.name}` {what}: {_line(result.message)}")
        if not outcome.success and not failed:
            self._failures.append(f"dbt {what}: {_line(outcome.exception or 'failed')}")
        return results

    def built(self, outcome: dbtRunnerResult) -> None:
        """Note the build."""
        self._results = self._collect(outcome, "failed")

    def built_again(self, outcome: dbtRunnerResult) -> None:
        """Note the second build: an increment that must write nothing."""
        results = self._collect(outcome, "failed as an increment")
        for result in results:
            rows = (result.adapter_response or {}).get("rows_affected", 0)
            if result.node.resource_type in COUNTED and rows > 0:
                self._failures.append(
                    f"`{result.node.name}` is not idempotent: built again on unchanged parents, "
                    f"it wrote {rows} rows"
                )
        if self.succeeded:
            self._again = "Built again as increments, the incremental models wrote no row."

    def publish(self, path: Path, seconds: float) -> None:
        """Print the report, write it to a file and, in a workflow, to the job's summary."""
        text = self._text(seconds)
        path.write_text(text)
        print(f"\n{text}")
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a") as file:
                file.write(text)

    def _text(self, seconds: float) -> str:
        parts = [f"## Slim CI: {self._headline()}", *self._why()]
        if self._failures:
            more = len(self._failures) - SHOWN
            shown = [f"- {failure}" for failure in self._failures[:SHOWN]]
            parts.append(
                "\n".join(["**Failed**", "", *shown, *([f"- and {more} more"] * (more > 0))])
            )
        if rows := self._rows():
            head = "| built | rows | in pro | columns | seconds |\n|---|--:|--:|---|--:|"
            parts.append("\n".join([head, *rows]))
        if self._again:
            parts.append(self._again)
        tests = Counter(str(r.status) for r in self._results if r.node.resource_type in TESTS)
        if tests:
            counted = ", ".join(f"{count} {status}" for status, count in sorted(tests.items()))
            parts.append(f"Tests: {counted}.")
        parts.append(f"{len(self._nodes)} of {self._all()} nodes in {seconds:.0f} seconds.")
        return "\n\n".join(parts) + "\n"

    def _headline(self) -> str:
        if not self.succeeded:
            return "failed"
        if not self._nodes:
            return "nothing to build"
        tests = sum(node.startswith(TESTS) for node in self._nodes)
        built = _counted(len(self._nodes) - tests, "model")
        return f"{built} built, {_counted(tests, 'test')} passed"

    def _all(self) -> int:
        kinds = [node["resource_type"] for node in self._manifest["nodes"].values()]
        return len(kinds) - kinds.count("operation") + len(self._manifest["unit_tests"])

    def _why(self) -> list[str]:
        parts = []
        if self._state:
            at = self._state.manifest["metadata"]["generated_at"]
            parts.append(f"Compared with `pro` as of {at}.")
        if self._changes.everything:
            reasons = [f"- {reason}" for reason in self._changes.everything]
            parts.append(
                "\n".join(
                    ["Everything is built, because this changed or is missing:", "", *reasons]
                )
            )
        elif not self._nodes:
            parts.append("Nothing that dbt builds or tests differs.")
        elif self._changes.selected:
            seen = [f"- `{node}`: {why}" for node, why in sorted(self._changes.selected.items())]
            parts.append("\n".join(["Built beside what dbt calls modified:", "", *seen]))
        if self._changes.removed:
            parts.append(
                "Removed: " + ", ".join(f"`{node}`" for node in self._changes.removed) + "."
            )
        return parts

    def _rows(self) -> list[str]:
        built = [r for r in self._results if r.node.resource_type in COUNTED]
        if not built:
            return []
        old = self._state.manifest["nodes"] if self._state else {}
        lines = []
        with (
            psycopg.connect(settings.conninfo("dev", self._role)) as dev,
            psycopg.connect(settings.conninfo("pro", self._role)) as pro,
        ):
            for result in built:
                node = result.node
                here = _look(dev, node.schema, node.alias) if result.status == "success" else None
                was = old.get(node.unique_id)
                there = _look(pro, was["schema"], was["alias"]) if was else None
                lines.append(
                    f"| {node.name} | {_count(here)} | {_count(there) if was else 'new'} "
                    f"| {_difference(here, there)} | {result.execution_time:.1f} |"
                )
        return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _line(message: object) -> str:
    """Put a message on one line, with nothing that Markdown would obey."""
    return " ".join(str(message).split()).replace("`", "'").replace("<", "&lt;")[:500]


def _look(
    connection: psycopg.Connection[tuple[Any, ...]], schema: str, name: str
) -> tuple[int, dict[str, str]] | None:
    """Return the number of rows and the columns of a relation; None where there is none."""
    columns = connection.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
        " and attnum > 0 and not attisdropped order by attnum",
        [schema, name],
    ).fetchall()
    if not columns:
        return None
    count = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name))
    return connection.execute(count).fetchall()[0][0], dict(columns)


def _count(found: tuple[int, dict[str, str]] | None) -> str:
    return "–" if found is None else f"{found[0]:,}"


def _difference(
    here: tuple[int, dict[str, str]] | None, there: tuple[int, dict[str, str]] | None
) -> str:
    """Columns that came, went or changed their type."""
    if here is None or there is None:
        return ""
    new, old = here[1], there[1]
    parts = [f"+{name}" for name in new if name not in old]
    parts += [f"−{name}" for name in old if name not in new]
    parts += [
        f"{name}: {old[name]} → {new[name]}"
        for name in new
        if name in old and old[name] != new[name]
    ]
    return ", ".join(parts) or "same"
