"""`dbt build` tests what has changed since a test last passed, `dbt test` all that there is."""

import psycopg
import pytest

from orchestration.tests.support import Dbt, insert_row

DIM_TEST = "relationships_transaction_fct_customer_id__customer_id__ref_customer_dim_"
BUILD = ("build", "--exclude-resource-type", "unit_test")


@pytest.fixture(scope="module")
def dbt(server, tmp_path_factory):
    return Dbt("pro", tmp_path_factory.mktemp("dbt"))


@pytest.fixture
def loader(server):
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def built(server, lake, loader, dbt):
    """`pro` with three customers of one sale each; an administrator's connection to it."""
    for number in "123":
        insert_row(loader, number, customer_email=f"{number}@example.com")
    dbt(*BUILD, "--full-refresh")
    with psycopg.connect(server("pro", "postgres"), autocommit=True) as connection:
        yield connection


def _spoil(connection, source_id, customer):
    connection.execute(
        "update gold.transaction_fct set customer_id = %s where source_transaction_id = %s",
        [customer, source_id],
    )


def _customer_of(connection, source_id):
    return connection.execute(
        "select customer_id from gold.transaction_fct where source_transaction_id = %s", [source_id]
    ).fetchone()[0]


def _fails(dbt, *arguments):
    with pytest.raises(AssertionError) as raised:
        dbt(*arguments)
    return str(raised.value)


def test_a_build_relies_on_what_has_passed_and_dbt_test_does_not(built, dbt):
    _spoil(built, "1", "nobody")
    dbt(*BUILD)
    assert DIM_TEST in _fails(dbt, "test", "--exclude-resource-type", "unit_test")


def test_what_changed_is_tested(built, loader, dbt):
    loader.execute("update forex.customer_transactions set price = '5' where transaction_id = '1'")
    built.execute(
        "create function gold.spoil() returns trigger language plpgsql as"
        " $$ begin new.customer_id := 'anybody'; return new; end $$"
    )
    built.execute(
        "create trigger spoil before update on gold.transaction_fct"
        " for each row execute function gold.spoil()"
    )
    assert DIM_TEST in _fails(dbt, *BUILD)
    # Not forgotten by a build that changes nothing.
    assert DIM_TEST in _fails(dbt, *BUILD)


def test_a_row_that_others_refer_to_is_missed_when_it_leaves(built, loader, dbt):
    _spoil(built, "1", _customer_of(built, "2"))
    loader.execute(
        "update forex.customer_transactions set customer_email = 'new@example.com'"
        " where transaction_id = '2'"
    )
    assert DIM_TEST in _fails(dbt, *BUILD)


def test_a_table_built_anew_is_tested_anew(built, dbt):
    dbt("run", "--full-refresh", "--select", "customer_dim")
    proven = built.execute("select count(*) from audit.proof where 'customer_dim' = any (models)")
    assert proven.fetchone() == (0,)
    _spoil(built, "1", "nobody")
    assert DIM_TEST in _fails(dbt, *BUILD)


@pytest.mark.parametrize(
    ("spoil", "test"),
    [
        (
            "update silver.transaction set source_transaction_id = '1', changed_at = 'infinity'"
            " where source_transaction_id = '2'",
            "a_landing_row_sells_once",
        ),
        (
            "update silver.transaction set price = 99, changed_at = 'infinity'"
            " where source_transaction_id = '2'",
            "facts_agree_with_silver",
        ),
        ("delete from silver.transaction where source_transaction_id = '2'", "conservation"),
        (
            "insert into bronze.missing_quantity (transaction_id, load_timestamp)"
            " values ('1', now())",
            "missing_quantity_is_exact",
        ),
    ],
)
def test_each_proof_can_fail(built, loader, dbt, spoil, test):
    """All within what a build looks at: row 1 has come again, rows of silver are new."""
    loader.execute("update forex.customer_transactions set price = '5' where transaction_id = '1'")
    dbt("run")
    built.execute(spoil)
    tests = ("build", "--select", "resource_type:test", "--exclude", "test_type:unit")
    assert test in _fails(dbt, *tests)
