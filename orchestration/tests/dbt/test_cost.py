"""A build costs what changed: it reads only changed rows and writes only changed rows."""

import psycopg
import pytest

from orchestration.tests.support import Dbt, insert_row

ROWS = 300


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="module")
def dbt(server, target):
    return Dbt("pro", target)


@pytest.fixture
def built(server, lake, dbt):
    """`pro`, built from a lake of ROWS rows; an administrator's connection to it."""
    with psycopg.connect(server("data_lake", "loader")) as loader:
        for number in range(ROWS):
            insert_row(loader, str(number), customer_email=f"{number}@example.com")
    dbt("run", "--full-refresh")
    dbt("run")
    with psycopg.connect(server("pro", "postgres"), autocommit=True) as connection:
        yield connection


def _written(connection):
    """Rows inserted, updated and deleted so far, by relation."""
    connection.execute("select pg_stat_force_next_flush()")
    return dict(
        connection.execute(
            "select schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del"
            " from pg_stat_user_tables where schemaname in ('bronze', 'silver', 'gold')"
        ).fetchall()
    )


def _writes_of(connection, action):
    before = _written(connection)
    action()
    after = _written(connection)
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_a_build_with_nothing_new_writes_no_row(built, dbt):
    assert _writes_of(built, lambda: dbt("run")) == {}


def test_rows_read_twice_are_not_written_twice(server, built, dbt):
    """An open transaction holds the horizon back: each build reads what is behind it again."""
    with psycopg.connect(server("data_lake", "loader")) as open_transaction:
        insert_row(open_transaction, "open")
        with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
            insert_row(loader, "new", customer_email="new@example.com")
        first = _writes_of(built, lambda: dbt("run"))
        assert first["silver.cleaned_transaction"] == 1
        for _ in range(2):
            assert _writes_of(built, lambda: dbt("run")) == {}
        open_transaction.rollback()


def test_one_changed_row_writes_one_row_in_each_relation_that_shows_it(server, built, dbt):
    def correct():
        with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
            loader.execute(
                "update forex.customer_transactions set price = '99' where transaction_id = '7'"
            )
        dbt("run")

    assert _writes_of(built, correct) == {
        "silver.cleaned_transaction": 1,
        "silver.transaction": 1,
        "gold.transaction_fct": 1,
    }


def test_the_lake_is_asked_for_changed_rows_only(server, built, lake, dbt):
    """What reaches the lake: each statement names the horizon, and fetches a handful of rows."""
    lake.execute("create extension if not exists pg_stat_statements")
    lake.execute("select pg_stat_statements_reset()")
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
        insert_row(loader, "new", customer_email="new@example.com")
    dbt("run")
    asked = lake.execute(
        "select query, rows from pg_stat_statements join pg_roles on userid = pg_roles.oid"
        " where rolname = 'lake_reader' and query ~ 'customer_transactions|^FETCH'"
    ).fetchall()
    lake.execute("drop extension pg_stat_statements")
    declared = [query for query, _ in asked if "DECLARE" in query.upper()]
    assert declared
    assert all("load_xid >=" in query for query in declared)
    assert sum(rows for _, rows in asked) < ROWS / 10


def test_the_predicate_is_pushed_down_and_uses_the_index(server, built, lake):
    plan = built.execute(
        "explain (verbose) select * from bronze.customer_transactions where load_xid >= '5'::bigint"
    ).fetchall()
    remote = [line for (line,) in plan if "Remote SQL" in line]
    assert len(remote) == 1 and "WHERE ((load_xid >= " in remote[0]
    lake.execute("analyze forex.customer_transactions")
    lake.execute("set enable_seqscan = off")
    plan = lake.execute(
        "explain select * from forex.customer_transactions where load_xid >= 999999999"
    ).fetchall()
    assert any("customer_transactions_changes" in line for (line,) in plan)


@pytest.mark.parametrize(
    "model",
    [
        "silver/transaction",
        "silver/superseded_transaction",
        "gold/transaction_fct",
        "gold/customer_dim",
        "gold/product_dim",
        "gold/location_dim",
        "gold/date_dim",
    ],
)
def test_an_increment_finds_its_rows_by_index(built, target, model):
    """No table is read whole, nor copied whole because the model names it twice."""
    sql = (target / "compiled" / "forex_warehouse" / "models" / f"{model}.sql").read_text()
    assert "changed_at >" in sql
    built.execute("set enable_seqscan = off")
    plan = "\n".join(line for (line,) in built.execute(f"explain {sql}").fetchall())
    grown = ("cleaned_transaction", "transaction", "transaction_fct", "customer_dim")
    assert [table for table in grown if f"Seq Scan on {table} " in plan] == []


@pytest.mark.parametrize(
    ("relation", "condition"),
    [
        ("silver.transaction", "unreadable_quantity is not null"),
        ("silver.rejected_transaction", "true"),
    ],
)
def test_what_each_build_lists_is_found_without_reading_the_rest(built, relation, condition):
    """Also in a table that was just built anew."""
    built.execute("set enable_seqscan = off")
    built.execute("set enable_bitmapscan = off")
    query = f"explain select count(*) from {relation} where {condition}"
    plan = "\n".join(line for (line,) in built.execute(query).fetchall())
    assert "Index Only Scan" in plan
    assert "Cond" not in plan and "Filter" not in plan  # of an index that has nothing else
