"""What several tests do: land rows, run dbt in this process, compare relations."""

from __future__ import annotations

import csv
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from dbt.cli.main import dbtRunner
from psycopg import sql

from orchestration.loader import LoadResult, connect, load_file
from orchestration.loader.layout import COLUMNS
from orchestration.warehouse import settings
from orchestration.warehouse.settings import CHECKOUT

MODELS = {
    "bronze": ("missing_quantity",),
    "silver": (
        "cleaned_transaction",
        "transaction",
        "rejected_transaction",
        "superseded_transaction",
    ),
    "gold": ("customer_dim", "product_dim", "location_dim", "date_dim", "transaction_fct"),
    "data_marts": ("agg_sales_country", "agg_sales_customer", "agg_sales_monthly"),
}
# When a row was loaded or built differs from run to run, and nothing else may.
TIMES = {"load_timestamp", "changed_at"}
GOOD_ROW = {
    "transaction_id": "1",
    "customer_id": "501.0",
    "transaction_date": "2023-07-11",
    "product_id": "101",
    "product_name": "Product A",
    "quantity": "2.0",
    "price": "10.50",
    "tax": "1.05",
    "customer_first_name": "Ada",
    "customer_last_name": "Abara",
    "customer_email": "ada@example.com",
    "customer_phone": "+34-600-000-001",
    "customer_country": "Spain",
    "customer_city": "Madrid",
}


def copy_checkout(folder: Path) -> Path:
    """Copy the tracked and new files of the checkout, as a clone would have them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    return folder


def write_csv(path: Path, records: list[dict[str, str]]) -> Path:
    """Write records, each a good row but for what it names, as a file of the layout."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(GOOD_ROW | record for record in records)
    return path


def load(path: Path) -> LoadResult:
    """Load a file in this process: the loader's own steps, in threads instead of processes."""
    conninfo = settings.conninfo("data_lake", "loader")
    with connect(conninfo) as connection, ThreadPoolExecutor(2) as pool:
        return load_file(
            str(path),
            connection=connection,
            conninfo=conninfo,
            pool=pool,
            workers=2,
            rows_per_chunk=100_000,
            folder=settings.SERVER_FOLDER / "loads",
        )


def empty_lake(lake: psycopg.Connection) -> None:
    """Empty the lake, as its administrator."""
    lake.execute(
        "truncate forex.customer_transactions, forex.rejected_row,"
        " forex.load_chunk, forex.load_ledger"
    )


def insert_row(
    connection: psycopg.Connection,
    transaction_id: str,
    table: str = "forex.customer_transactions",
    **values: str,
) -> None:
    """Insert a good row, but for what is named, without the loader."""
    record = GOOD_ROW | {"transaction_id": transaction_id} | values
    connection.execute(
        f"insert into {table} ({', '.join(record)}, source_file, source_line)"
        f" values ({', '.join(['%s'] * len(record))}, 'row.csv', 2)",
        list(record.values()),
    )


class Dbt:
    """dbt in this process, one target, parsed once."""

    def __init__(self, target: str, folder: Path, project: Path = CHECKOUT) -> None:
        self._options = [
            *("--target", target),
            *("--project-dir", str(project)),
            *("--profiles-dir", str(CHECKOUT / "profiles")),
            *("--target-path", str(folder)),
            *("--log-path", str(folder)),
            "--quiet",
        ]
        parsed = dbtRunner().invoke(["parse", *self._options])
        assert parsed.success, parsed.exception
        self.manifest = parsed.result

    def __call__(self, *arguments: str) -> object:
        outcome = dbtRunner(manifest=self.manifest).invoke([*arguments, *self._options])
        failed = [
            f"{node.node.name}: {node.message}"
            for node in getattr(outcome.result, "results", [])
            if node.status in ("error", "fail", "runtime error")
        ]
        assert outcome.success, (outcome.exception, failed)
        return outcome.result


def contents(
    connection: psycopg.Connection, prefix: str, without: frozenset[str] | set[str] = TIMES
) -> dict[str, list[tuple]]:
    """Every row of every relation whose schema has a prefix, in an order of its own."""
    found = {}
    for folder, models in MODELS.items():
        for model in models:
            schema = f"{prefix}{folder}"
            columns = connection.execute(
                "select column_name from information_schema.columns"
                " where table_schema = %s and table_name = %s order by column_name",
                [schema, model],
            ).fetchall()
            kept = [sql.Identifier(name) for (name,) in columns if name not in without]
            assert kept, f"{schema}.{model} does not exist"
            query = sql.SQL("select {columns} from {table} order by {columns}").format(
                columns=sql.SQL(", ").join(kept), table=sql.Identifier(schema, model)
            )
            found[model] = connection.execute(query).fetchall()
    return found
