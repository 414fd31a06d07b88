"""A load that began before a build and commits after it is in the next build."""

import psycopg
import pytest

from orchestration.tests.support import Dbt, insert_row


@pytest.fixture(scope="module")
def dbt(server, tmp_path_factory):
    return Dbt("dev", tmp_path_factory.mktemp("dbt"))


@pytest.fixture
def warehouse(server, lake, dbt):
    """A connection that sees the built `dev`."""
    dbt("run", "--full-refresh")
    with psycopg.connect(server("dev", "analyst"), autocommit=True) as connection:
        yield connection


def _ids(warehouse, relation="analyst_silver.cleaned_transaction", column="source_transaction_id"):
    rows = warehouse.execute(f"select {column} from {relation} order by 1").fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_insert_that_commits_late(server, warehouse, dbt, end):
    with psycopg.connect(server("data_lake", "loader")) as early:
        insert_row(early, "early", quantity="")
        with psycopg.connect(server("data_lake", "loader")) as quick:
            insert_row(quick, "quick", customer_first_name="Ben")
        dbt("run")
        assert _ids(warehouse) == ["quick"]
        getattr(early, end)()
    dbt("run")
    expected = ["early", "quick"] if end == "commit" else ["quick"]
    assert _ids(warehouse) == expected
    assert _ids(warehouse, "analyst_gold.transaction_fct") == expected
    missing = _ids(warehouse, "analyst_bronze.missing_quantity", "transaction_id")
    assert missing == [name for name in expected if name == "early"]


def test_an_update_that_commits_late_over_many_builds(server, warehouse, dbt):
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
        insert_row(loader, "1", price="10")
    with psycopg.connect(server("data_lake", "loader")) as late:
        late.execute("update forex.customer_transactions set price = '20'")
        for number in range(3):
            with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
                insert_row(loader, f"more {number}", customer_first_name=f"Ben {number}")
            dbt("run")
        assert warehouse.execute(
            "select price from analyst_gold.transaction_fct where source_transaction_id = '1'"
        ).fetchone() == (10,)
        late.commit()
    dbt("run")
    assert warehouse.execute(
        "select price from analyst_gold.transaction_fct where source_transaction_id = '1'"
    ).fetchone() == (20,)


def test_time_stamps_play_no_part(server, warehouse, dbt):
    """A row that claims to be a century old, or of the future, is picked up like any other."""
    dbt("run")
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
        for year in ("1923", "2123"):
            insert_row(loader, year, customer_first_name=year, load_timestamp=f"{year}-01-01")
            dbt("run")
    assert _ids(warehouse) == ["1923", "2123"]


def test_the_loader_cannot_hold_back_the_horizon_for_ever(server):
    with psycopg.connect(server("data_lake", "loader")) as loader:
        assert loader.execute("show transaction_timeout").fetchone() == ("15min",)
