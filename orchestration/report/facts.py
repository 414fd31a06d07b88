"""What a run did: from the lake's ledger, dbt's artifacts and the marts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError

Row = tuple[Any, ...]
COUNTS = ("read", "inserted", "updated", "unchanged", "superseded", "rejected")
LAKE = "source.forex_warehouse.forex."
EXAMPLES = 10
FILES = 50
BUILD = "build_results.json"
FRESHNESS = "sources.json"
SIZES = (
    *("transaction", "rejected_transaction", "superseded_transaction", "missing_quantity"),
    *("customer_dim", "location_dim", "product_dim"),
)
BAD = ("error", "fail", "runtime error", "warn", "skipped")


@dataclass(frozen=True)
class Listing:
    """A table of the report.

    Attributes:
        title: What it shows.
        columns: Names of the columns.
        rows: The rows that are shown.
        total: How many there are.
        brief: How many of them the terminal shows.
        plot: Whether the page plots the last column over the first, and as what.

    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    total: int
    brief: int = EXAMPLES
    plot: Literal["bars", "columns"] | None = None


@dataclass(frozen=True)
class Facts:
    """A run, gathered."""

    database: str
    built_at: datetime
    failed: bool
    figures: dict[str, Any] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class _Warehouse:
    """The relations of the target of dbt's last run, by the names that dbt has for them."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        nodes = manifest["nodes"].values()
        models = [node for node in nodes if node["resource_type"] == "model"]
        self.database: str = models[0]["database"]
        self._relations = {node["name"]: (node["schema"], node["alias"]) for node in models}
        for name, source in manifest["sources"].items():
            if name.startswith(LAKE):
                self._relations[source["name"]] = (source["schema"], source["identifier"])
        role = "dbt_pro" if self.database == "pro" else settings.analyst()
        try:
            self._connection = psycopg.connect(
                settings.conninfo(self.database, role), autocommit=True
            )
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"no connection to the warehouse ({reason}); `make server` starts it"
            ) from error

    def rows(self, query: str, *names: str, **values: object) -> list[Row] | None:
        """Run a query in which each {} stands for a relation; None when one was never built."""
        tables = [sql.Identifier(*self._relations[name]) for name in names]
        try:
            return self._connection.execute(sql.SQL(query).format(*tables), values).fetchall()
        except psycopg.errors.UndefinedTable:
            return None


def gather(since: str, target: Path) -> Facts:
    """Return the facts on the loads since a point of time and on dbt's last run.

    Args:
        since: A timestamp that PostgreSQL can read.
        target: Folder of dbt's artifacts.

    Raises:
        UserError: dbt has not run, or the warehouse cannot be reached.

    """
    warehouse = _Warehouse(_artifact(target, "manifest.json"))
    built_at, results = _results(target)
    models = [_model(result) for result in results if result["unique_id"].startswith("model.")]
    loads = _loads(warehouse, since)
    files = sorted({row[0] for row in loads.rows})
    listings = [
        loads,
        *_rejected_lines(warehouse, files),
        _freshness(target),
        Listing(
            f"Built in {warehouse.database}",
            ("model", "outcome", "rows written", "s"),
            models,
            len(models),
            len(models),
        ),
        *_tests(results),
        *_contents(warehouse),
        *_marts(warehouse),
    ]
    facts = Facts(
        database=warehouse.database,
        built_at=built_at,
        failed=any(result["status"] in BAD[:3] for result in results),
        listings=[listing for listing in listings if listing.total],
        figures=_figures(warehouse),
    )
    if not loads.total:
        facts.remarks.append("Nothing was loaded.")
    if _nothing_changed(loads.rows, models):
        facts.remarks.append(
            "Nothing changed: the lake had every row already, and no model wrote one."
        )
    return facts


def _results(target: Path) -> tuple[datetime, list[dict[str, Any]]]:
    """Return when dbt last ran, and its results; with those of the build, if it only tested.

    The cluster keeps a build's results for the commands that follow it.
    """
    run = _artifact(target, "run_results.json")
    results: list[dict[str, Any]] = run["results"]
    if run["args"]["which"] == "test" and (target / BUILD).exists():
        tested = {result["unique_id"] for result in results}
        build = _artifact(target, BUILD)["results"]
        results = [result for result in build if result["unique_id"] not in tested] + results
    return datetime.fromisoformat(run["metadata"]["generated_at"]), results


def _artifact(target: Path, name: str) -> dict[str, Any]:
    path = target / name
    if not path.exists():
        raise UserError(f"{path} does not exist; `make run` or `dbt build` makes it")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _model(result: dict[str, Any]) -> Row:
    """Name, what happened, rows written, seconds."""
    written = result["adapter_response"].get("rows_affected")
    return (
        result["unique_id"].split(".")[2],
        result["status"],
        "view" if written in (None, -1) else written,
        round(result["execution_time"], 2),
    )


def _loads(warehouse: _Warehouse, since: str) -> Listing:
    columns = ", ".join(f"rows_{count}" for count in COUNTS)
    rows = (
        warehouse.rows(
            f"select source_file, {columns} from {{}}"
            " where finished_at is not null and started_at >= %(since)s order by load_id desc",
            "load_ledger",
            since=since,
        )
        or []
    )
    shown = rows[:FILES][::-1]
    return Listing("Loaded into the lake", ("file", *COUNTS), shown, len(rows), FILES)


def _freshness(target: Path) -> Listing:
    """Return what `dbt source freshness` found, where it was asked."""
    results = _artifact(target, FRESHNESS)["results"] if (target / FRESHNESS).exists() else []
    rows = [
        (
            result["unique_id"].split(".", 2)[2],
            result["status"],
            str(result.get("max_loaded_at") or result.get("error") or ""),
        )
        for result in results
    ]
    return Listing("Freshness", ("source", "outcome", "newest row"), rows, len(rows))


def _rejected_lines(warehouse: _Warehouse, files: list[str]) -> list[Listing]:
    reasons = warehouse.rows(
        "select reason, count(*) from {} where source_file = any(%(files)s)"
        " group by reason order by 2 desc, 1",
        "rejected_row",
        files=files,
    )
    if not reasons:
        return []
    lines = warehouse.rows(
        "select source_file, source_line, reason, left(raw_line, 100) from {}"
        " where source_file = any(%(files)s) order by source_file, source_line limit %(most)s",
        "rejected_row",
        files=files,
        most=EXAMPLES,
    )
    return [
        _some("Lines not landed, by reason", ("reason", "lines"), reasons),
        Listing(
            "Lines not landed",
            ("file", "line", "reason", "text"),
            lines or [],
            sum(count for _, count in reasons),
        ),
    ]


def _tests(results: list[dict[str, Any]]) -> list[Listing]:
    tests = [
        result for result in results if result["unique_id"].startswith(("test.", "unit_test."))
    ]
    outcomes = Counter(result["status"] for result in tests)
    told = [
        (_name(result), result["status"], result["failures"] or 0, result["message"] or "")
        for result in tests
        if result["status"] in BAD
    ]
    slowest = sorted(tests, key=lambda result: result["execution_time"], reverse=True)
    return [
        Listing("Tests", ("outcome", "tests"), sorted(outcomes.items()), len(outcomes)),
        _some("Tests that failed or warn", ("test", "outcome", "rows", "message"), told),
        Listing(
            "Slowest tests",
            ("test", "s"),
            [(_name(result), round(result["execution_time"], 2)) for result in slowest[:EXAMPLES]],
            len(tests),
            brief=0,
        ),
    ]


def _name(result: dict[str, Any]) -> str:
    name: str = result["unique_id"].split(".")[2]
    return name


def _contents(warehouse: _Warehouse) -> list[Listing]:
    sizes = [
        (model, found[0][0])
        for model in SIZES
        if (found := warehouse.rows("select count(*) from {}", model))
    ]
    faults = warehouse.rows(
        # Of each reason, `column: fault: "value"`, all but the value.
        r"""select substring(reason from '^[a-z_]+: [a-z ]+') as fault, count(*)
        from {}, regexp_split_to_table(reasons, '; (?=[a-z_]+: (empty|not a))') as reason
        group by fault order by 2 desc, 1""",
        "rejected_transaction",
    )
    rejected = warehouse.rows(
        "select source_file, source_line, left(reasons, 200) from {}"
        " order by source_file, source_line limit %(most)s",
        "rejected_transaction",
        most=EXAMPLES,
    )
    superseded = warehouse.rows(
        "select source_file, source_line, source_transaction_id, superseded_by from {}"
        " order by source_file, source_line limit %(most)s",
        "superseded_transaction",
        most=EXAMPLES,
    )
    known = dict(sizes)
    return [
        Listing("In the warehouse", ("relation", "rows"), sizes, len(sizes), len(sizes)),
        _some("Rows not cleaned, by fault", ("fault", "rows"), faults or []),
        Listing(
            "Rows not cleaned",
            ("file", "line", "reasons"),
            rejected or [],
            known.get("rejected_transaction", 0),
        ),
        Listing(
            "Rows superseded by a later one",
            ("file", "line", "transaction", "superseded by"),
            superseded or [],
            known.get("superseded_transaction", 0),
            brief=0,
        ),
    ]


def _marts(warehouse: _Warehouse) -> list[Listing]:
    months = warehouse.rows(
        "select format('%%s-%%s', year, lpad(month::text, 2, '0')), transactions, revenue"
        " from {} order by year desc, month desc",
        "agg_sales_monthly",
    )
    countries = warehouse.rows(
        "select country, transactions, revenue from {} order by revenue desc, country",
        "agg_sales_country",
    )
    customers = warehouse.rows(
        "select concat_ws(' ', first_name, last_name), email, transactions, revenue from {}"
        " order by revenue desc, customer_id limit %(most)s",
        "agg_sales_customer",
        most=EXAMPLES,
    )
    head = ("transactions", "revenue")
    return [
        _some("Revenue by month", ("month", *head), months or [], 24, brief=6, plot="columns"),
        _some("Revenue by country", ("country", *head), countries or [], brief=5, plot="bars"),
        _some(
            "Customers with most revenue",
            ("customer", "email", *head),
            customers or [],
            brief=0,
            plot="bars",
        ),
    ]


def _some(
    title: str,
    columns: tuple[str, ...],
    rows: list[Row],
    most: int = EXAMPLES,
    *,
    brief: int = EXAMPLES,
    plot: Literal["bars", "columns"] | None = None,
) -> Listing:
    return Listing(title, columns, rows[:most], len(rows), brief, plot)


def _figures(warehouse: _Warehouse) -> dict[str, Any]:
    """Single values, by name; those of models that do not exist are left out."""
    queries = {
        "Total revenue": ("select coalesce(sum(revenue), 0) from {}", "agg_sales_country"),
        "Sales": ("select count(*) from {}", "transaction_fct"),
        "Rejected": ("select count(*) from {}", "rejected_transaction"),
        "Superseded": ("select count(*) from {}", "superseded_transaction"),
        "Quantity missing": ("select count(*) from {}", "missing_quantity"),
        "Quantity unreadable": ("select count(unreadable_quantity) from {}", "transaction"),
        "Newest load": ("select max(finished_at) from {}", "load_ledger"),
    }
    found = {name: warehouse.rows(*query) for name, query in queries.items()}
    return {name: rows[0][0] for name, rows in found.items() if rows and rows[0][0] is not None}


def _nothing_changed(loads: list[Row], models: list[Row]) -> bool:
    landed = sum(row[2] + row[3] for row in loads)
    return landed == 0 and all(written in ("view", 0) for _, _, written, _ in models)
