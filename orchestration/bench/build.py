"""dbt's builds, beside one script written by hand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import psycopg

from orchestration.bench import files
from orchestration.bench.load import WORKERS, load
from orchestration.bench.measure import Figures, administrator, empty_lake, medians, seconds
from orchestration.loader import worker_pool
from orchestration.tests.support import Dbt
from orchestration.warehouse import settings

CHANGED = 1000
SCRIPT = Path(__file__).with_name("by_hand.sql")
LAKE = '"pro"."bronze"."customer_transactions"'
_prices = count(1000)  # so that each change is one


def measure(rows: int, repeat: int) -> Figures:
    """Return medians of seconds, for full and incremental builds of a lake of so many rows."""
    folder = settings.SERVER_FOLDER / f"dbt-{rows}"
    dbt = Dbt("pro", folder)
    empty_lake()
    with worker_pool(WORKERS) as pool:
        load(files.base(rows), pool)
        with administrator("data_lake") as lake:
            lake.execute("vacuum analyze forex.customer_transactions")
        dbt("run", "--full-refresh")
        scripts = _Scripts(folder)
        full = [_full(dbt, scripts) for _ in range(repeat)]
        _settle()
        increments = [_increment(rows, dbt, scripts, pool) for _ in range(max(repeat, 3))]
    _must_agree()
    return {"full_refresh": medians(full), "increment": medians(increments)}


def _full(dbt: Dbt, scripts: _Scripts) -> dict[str, float]:
    return {
        "script by hand: full": seconds(scripts.full),
        **_timed("full: models", partial(dbt, "run", "--full-refresh")),
        **_timed("full: tests", partial(dbt, "test", "--exclude-resource-type", "unit_test")),
    }


def _increment(
    rows: int, dbt: Dbt, scripts: _Scripts, pool: ProcessPoolExecutor
) -> dict[str, float]:
    mark = _horizon()
    load(files.some(rows, CHANGED, f"{next(_prices)}.01"), pool)
    took = {"script by hand: 1,000 changed": seconds(partial(scripts.increment, mark))}
    # As in `dbt build`, not as in `dbt test`, which tests every row.
    tests = partial(dbt, "build", "--select", "resource_type:test", "--exclude", "test_type:unit")
    took |= _timed("1,000 changed: models", partial(dbt, "run"))
    took |= _timed("1,000 changed: tests", tests)
    took |= _timed("nothing changed: models", partial(dbt, "run"))
    took |= _timed("nothing changed: tests", tests)
    return took


def _timed(name: str, action: Callable[[], object]) -> dict[str, float]:
    """Return what a dbt command takes from end to end, and how much of that is the server's work.

    Work is the sum over all sessions, so with four threads it may exceed the time that passes.
    """
    with administrator("postgres") as server:
        server.execute("create extension if not exists pg_stat_statements")
        server.execute("select pg_stat_statements_reset()")
        took = seconds(action)
        work = server.execute(
            "select coalesce(sum(total_exec_time), 0) / 1000, count(*)"
            " from pg_stat_statements join pg_roles on userid = pg_roles.oid"
            " where rolname = 'dbt_pro'"
        ).fetchone()
    assert work  # noqa: S101 - an aggregate has a row
    return {name: took, f"{name}, work in the server": float(work[0])}


def _must_agree() -> None:
    """Make sure that the script by hand did the same work; else nothing is compared."""
    with administrator("pro") as server:
        sums = [
            server.execute(
                "select count(*), sum(hashtextextended(row(transaction_id, customer_id, product_id,"
                " location_id, transaction_date, source_transaction_id, quantity, price, tax,"
                f" load_timestamp)::text, 0)) from {schema}.transaction_fct".encode()
            ).fetchone()
            for schema in ("hand", "gold")
        ]
    if sums[0] != sums[1]:
        raise RuntimeError(f"the script by hand and dbt disagree on the facts: {sums}")


def _horizon() -> int:
    with administrator("data_lake") as lake:
        row = lake.execute("select low_water_mark from forex.read_horizon").fetchone()
    assert row  # noqa: S101 - the view has a row
    return int(row[0])


def _settle() -> None:
    """Do now what autovacuum does within minutes, so that it does not come in the middle."""
    with administrator("pro") as server:
        server.execute("vacuum analyze")


class _Scripts:
    """The script by hand, with the project's own rules of cleaning in it."""

    def __init__(self, folder: Path) -> None:
        compiled = folder / "compiled" / "forex_warehouse" / "models"
        self._cleaned = (compiled / "silver" / "cleaned_transaction.sql").read_text()
        self._missing = (compiled / "bronze" / "missing_quantity.sql").read_text()
        text = SCRIPT.read_text()
        self._full, self._increment = text.split("-- full\n")[1].split("-- increment\n")

    def full(self) -> None:
        script = self._full.replace("{cleaned}", self._cleaned)
        self._run(script.replace("{missing}", self._missing))

    def increment(self, mark: int) -> None:
        recent = f"{LAKE} where load_xid >= {mark}"
        script = self._increment.replace("{changed}", self._cleaned.replace(LAKE, recent))
        self._run(script.replace("{missing_changed}", self._missing.replace(LAKE, recent)))

    def _run(self, script: str) -> None:
        with psycopg.connect(settings.conninfo("pro", "dbt_pro")) as connection:
            connection.execute(script.encode())
