"""What a run did: from the lake's ledger, dbt's artifacts and the marts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orchestration.report import results
from orchestration.report.listing import EXAMPLES, Listing, Row, some
from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError

COUNTS = ("read", "inserted", "updated", "unchanged", "superseded", "rejected")
LAKE = "source.forex_warehouse.forex."
FILES = 50
SIZES = (
    *("transaction", "rejected_transaction", "superseded_transaction", "missing_quantity"),
    *("customer_dim", "location_dim", "product_dim"),
)
NEWEST_FIRST = " order by load_timestamp desc, source_file, source_line limit %(most)s"


@dataclass(frozen=True)
class Facts:
    """A run, gathered."""

    database: str
    built_at: datetime
    failed: bool
    summary: str
    figures: dict[str, Any] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """How the build ended."""
        return "✗ the build failed" if self.failed else "✓ built"


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
    manifest = results.artifact(target, "manifest.json")
    warehouse = _Warehouse(manifest)
    run = results.last_run(target)
    listings = [
        results.trouble(run, manifest, _bad_since(warehouse)),
        _loads(warehouse, since),
        *_rejected_lines(warehouse, since),
        _freshness(warehouse, manifest),
        results.models(run, warehouse.database),
        *results.tests(run),
        *_contents(warehouse),
        *_marts(warehouse),
    ]
    return Facts(
        database=warehouse.database,
        built_at=run.ended_at,
        failed=run.failed,
        summary=run.summary(),
        listings=[listing for listing in listings if listing.total],
        figures=_figures(warehouse),
        remarks=_remarks(warehouse, since, run),
    )


def _bad_since(warehouse: _Warehouse) -> dict[str, datetime]:
    """Return since when each node that is bad has been so, by its id."""
    rows = warehouse.rows(
        "select unique_id, bad_since from {} where bad_since is not null", "data_quality_check"
    )
    return dict(rows or [])


def _remarks(warehouse: _Warehouse, since: str, run: results.Run) -> list[str]:
    """Return what no table shows."""
    ((loads, landed, unfinished),) = warehouse.rows(
        "select count(finished_at), sum(rows_inserted + rows_updated),"
        " count(*) filter (where finished_at is null) from {} where started_at >= %(since)s",
        "load_ledger",
        since=since,
    ) or [(0, None, 0)]
    remarks = []
    if not loads:
        remarks.append("Nothing was loaded.")
    if unfinished:
        remarks.append(
            f"Loads that did not finish: {unfinished:,}. Loading the file again repairs that."
        )
    if not landed and not run.failed and results.nothing_written(run):
        remarks.append("Nothing changed: the lake had every row already, and no model wrote one.")
    return remarks


def _loads(warehouse: _Warehouse, since: str) -> Listing:
    columns = ", ".join(f"rows_{count}" for count in COUNTS)
    rows = (
        warehouse.rows(
            f"select source_file, table_name, {columns} from {{}}"
            " where finished_at is not null and started_at >= %(since)s order by load_id desc",
            "load_ledger",
            since=since,
        )
        or []
    )
    head: tuple[str, ...] = ("file", "landing table", *COUNTS)
    if len({row[1] for row in rows}) == 1:
        head, rows = ("file", *COUNTS), [(row[0], *row[2:]) for row in rows]
    return Listing("Loaded into the lake", head, rows[:FILES][::-1], len(rows), FILES)


def _freshness(warehouse: _Warehouse, manifest: dict[str, Any]) -> Listing:
    """Return how old the newest row of each source is, judged as `dbt source freshness` would.

    A row's `load_timestamp` is the start of its load: the ledger knows it without reading the rows.
    """
    newest = warehouse.rows(
        "select table_name, max(started_at), now() - max(started_at) from {}"
        " where rows_inserted + rows_updated > 0 group by table_name",
        "load_ledger",
    )
    ages = {table: (at, age) for table, at, age in newest or []}
    rows = []
    for name, source in sorted(manifest["sources"].items()):
        limits = source["freshness"] or {}
        if name.startswith(LAKE) and source["name"] in ages and limits.get("error_after"):
            at, age = ages[source["name"]]
            rows.append((source["name"], _judged(age, limits), at))
    return some("Freshness", ("landing table", "outcome", "newest row"), rows)


def _judged(age: timedelta, limits: dict[str, Any]) -> str:
    for outcome, limit in (("error", limits["error_after"]), ("warn", limits["warn_after"])):
        if limit and limit["count"] and age > timedelta(**{f"{limit['period']}s": limit["count"]}):
            return outcome
    return "pass"


def _rejected_lines(warehouse: _Warehouse, since: str) -> list[Listing]:
    """Return what was rejected of the files that had any such line in these loads.

    A line is told once, however often its file is loaded: what is told of a file is of all its
    loads.
    """
    told = (
        " from {} as told inner join (select distinct table_name, source_file from {}"
        " where rows_rejected > 0 and started_at >= %(since)s) as load"
        " using (table_name, source_file)"
    )
    names = ("rejected_row", "load_ledger")
    reasons = warehouse.rows(
        f"select reason, count(*){told} group by reason order by 2 desc, 1", *names, since=since
    )
    if not reasons:
        return []
    text = _beginning("raw_line", 100)
    lines = warehouse.rows(
        f"select source_file, source_line, reason, {text}{told}{NEWEST_FIRST}",
        *names,
        since=since,
        most=EXAMPLES,
    )
    return [
        some("Lines not landed, by reason", ("reason", "lines"), reasons),
        Listing(
            "Lines not landed",
            ("file", "line", "reason", "text"),
            lines or [],
            sum(count for _, count in reasons),
        ),
    ]


def _beginning(column: str, length: int) -> str:
    return f"left({column}, {length}) || case when length({column}) > {length} then '…' else '' end"


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
    known = dict(sizes)

    def examples(title: str, model: str, columns: dict[str, str], brief: int = 0) -> Listing:
        rows = warehouse.rows(
            f"select source_file, source_line, {', '.join(columns.values())} from {{}}"
            f"{NEWEST_FIRST}",
            model,
            most=EXAMPLES,
        )
        return Listing(title, ("file", "line", *columns), rows or [], known.get(model, 0), brief)

    return [
        Listing("In the warehouse", ("relation", "rows"), sizes, len(sizes), len(sizes)),
        some("Rows not cleaned, by fault", ("fault", "rows"), faults or []),
        examples(
            "Rows not cleaned",
            "rejected_transaction",
            {"reasons": _beginning("reasons", 200)},
            EXAMPLES,
        ),
        examples(
            "Rows superseded by a later one",
            "superseded_transaction",
            {"transaction": "source_transaction_id", "superseded by": "superseded_by"},
        ),
        examples(
            "Rows without a quantity",
            "missing_quantity",
            {"transaction": "transaction_id", "product": "product_name"},
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
        "select concat_ws(' ', first_name, last_name), transactions, revenue from {}"
        " order by revenue desc, customer_id limit %(most)s",
        "agg_sales_customer",
        most=EXAMPLES,
    )
    head = ("transactions", "revenue")
    return [
        some("Revenue by month", ("month", *head), months or [], 24, brief=6, plot="columns"),
        some("Revenue by country", ("country", *head), countries or [], brief=5, plot="bars"),
        # How to reach them is not for everybody who reads a report.
        some(
            "Customers with most revenue",
            ("customer", *head),
            customers or [],
            brief=0,
            plot="bars",
        ),
    ]


def _figures(warehouse: _Warehouse) -> dict[str, Any]:
    """Single values, by name; those of models that do not exist are left out."""
    queries = {
        "Total revenue": ("select coalesce(sum(revenue), 0) from {}", "agg_sales_country"),
        "Sales": ("select count(*) from {}", "transaction_fct"),
        "Rejected": ("select count(*) from {}", "rejected_transaction"),
        "Superseded": ("select count(*) from {}", "superseded_transaction"),
        "Quantity missing": ("select count(*) from {}", "missing_quantity"),
        "Quantity unreadable": (
            "select count(*) from {} where unreadable_quantity is not null",
            "transaction",
        ),
        "Newest load": ("select max(finished_at) from {}", "load_ledger"),
    }
    found = {name: warehouse.rows(*query) for name, query in queries.items()}
    return {name: rows[0][0] for name, rows in found.items() if rows and rows[0][0] is not None}
