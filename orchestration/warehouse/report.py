"""What a run did, in the terminal: `python -m orchestration.warehouse.report`.

Read from the lake's ledger, from dbt's artifacts in `target/` and from the marts themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line

Row = tuple[Any, ...]
COUNTS = ("read", "inserted", "updated", "unchanged", "superseded", "rejected")


def _table(title: str, head: Iterable[str], rows: list[Row]) -> str:
    """Lay out rows in columns; numbers to the right, control characters shown, not obeyed."""
    lines = [tuple(head), *(tuple(_text(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [
        all(isinstance(row[i], int | float | Decimal) for row in rows) for i in range(len(widths))
    ]
    body = (
        "  "
        + "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )
    return "\n".join([title, *body]) if rows else f"{title}\n  none"


def _text(value: object) -> str:
    if isinstance(value, int):
        text = f"{value:,}"
    else:
        text = f"{value:,.2f}" if isinstance(value, Decimal) else str(value)
    return "".join(character if character.isprintable() else "·" for character in text)


def _artifact(name: str) -> dict[str, Any]:
    path = settings.CHECKOUT / "target" / name
    if not path.exists():
        raise UserError(f"{path} does not exist; `make run` or `dbt build` makes it")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


class Warehouse:
    """The relations that dbt's last run built, by model name."""

    def __init__(self, manifest: dict[str, Any], database: str) -> None:
        self._relations = {
            node["name"]: (node["schema"], node["alias"])
            for node in manifest["nodes"].values()
            if node["resource_type"] == "model"
        }
        self._connection = psycopg.connect(settings.conninfo(database, settings.analyst()))

    def rows(self, query: str, *models: str) -> list[Row]:
        """Run a query in which each {} stands for the relation of a model."""
        names = [sql.Identifier(*self._relations[model]) for model in models]
        return self._connection.execute(sql.SQL(query).format(*names)).fetchall()


def _loads(since: str) -> list[Row]:
    with psycopg.connect(settings.conninfo("data_lake", "lake_reader")) as lake:
        columns = ", ".join(f"rows_{count}" for count in COUNTS)
        return lake.execute(
            f"select source_file, {columns} from forex.load_ledger"
            " where finished_at is not null and started_at >= %s order by load_id",
            [since],
        ).fetchall()


def _lines_rejected(files: list[str]) -> list[Row]:
    with psycopg.connect(settings.conninfo("data_lake", "lake_reader")) as lake:
        return lake.execute(
            "select source_file, source_line, reason from forex.rejected_row"
            " where source_file = any(%s) order by source_file, source_line limit 10",
            [files],
        ).fetchall()


def _built(results: list[dict[str, Any]]) -> list[Row]:
    """One row per model: name, what happened, rows written, seconds."""
    rows = []
    for result in results:
        kind, _, name = result["unique_id"].split(".")[:3]
        if kind == "model":
            written = result["adapter_response"].get("rows_affected")
            seconds = round(result["execution_time"], 2)
            rows.append(
                (name, result["status"], "view" if written in (None, -1) else written, seconds)
            )
    return rows


def report(since: str) -> str:
    """Return the report on the loads since a point of time and on dbt's last run."""
    manifest, run = _artifact("manifest.json"), _artifact("run_results.json")
    database = next(
        node["database"] for node in manifest["nodes"].values() if node["resource_type"] == "model"
    )
    warehouse = Warehouse(manifest, database)
    loads = _loads(since)
    built = _built(run["results"])
    outcomes = Counter(
        result["status"]
        for result in run["results"]
        if result["unique_id"].startswith(("test.", "unit_test."))
    )
    parts = [
        _table("Loaded into the lake", ("file", *COUNTS), loads),
    ]
    if any(row[-1] for row in loads):
        lines = _lines_rejected(sorted({row[0] for row in loads}))
        parts.append(_table("Lines not landed (first 10)", ("file", "line", "reason"), lines))
    parts.append(_table(f"Built in {database}", ("model", "outcome", "rows written", "s"), built))
    parts.append(
        "Tests: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    )
    counts = [
        (model, warehouse.rows("select count(*) from {}", model)[0][0])
        for model in (
            "transaction",
            "rejected_transaction",
            "superseded_transaction",
            "missing_quantity",
            "customer_dim",
            "location_dim",
            "product_dim",
        )
    ]
    parts.append(_table("In the warehouse", ("relation", "rows"), counts))
    rejected = warehouse.rows(
        "select source_file, source_line, reasons from {}"
        " order by source_file, source_line limit 10",
        "rejected_transaction",
    )
    if rejected:
        parts.append(_table("Rows not cleaned (first 10)", ("file", "line", "reasons"), rejected))
    parts.append(
        _table(
            "Revenue by month",
            ("month", "transactions", "revenue"),
            warehouse.rows(
                "select format('%s-%s', year, lpad(month::text, 2, '0')), transactions,"
                " revenue from {} order by year desc, month desc limit 6",
                "agg_sales_monthly",
            ),
        )
    )
    parts.append(
        _table(
            "Revenue by country (first 5)",
            ("country", "transactions", "revenue"),
            warehouse.rows(
                "select country, transactions, revenue from {}"
                " order by revenue desc, country limit 5",
                "agg_sales_country",
            ),
        )
    )
    total = warehouse.rows("select coalesce(sum(revenue), 0) from {}", "agg_sales_country")[0][0]
    parts.append(f"Total revenue: {total:,.2f}")
    if _nothing_changed(loads, built):
        parts.append("Nothing changed: the lake had every row already, and no model wrote one.")
    return "\n\n".join(parts)


def _nothing_changed(loads: list[Row], built: list[Row]) -> bool:
    landed = sum(row[2] + row[3] for row in loads)
    return landed == 0 and all(written in ("view", 0) for _, _, written, _ in built)


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="orchestration.warehouse.report", description=__doc__)
    parser.add_argument("--since", default="-infinity", help="report the loads from then on")
    try:
        print(report(parser.parse_args().since))
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"no connection to the warehouse ({reason}); `make server` starts it"
        ) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
