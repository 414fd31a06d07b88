"""Who may do what: proved by PostgreSQL's refusals, not by convention."""

import psycopg
import pytest

from orchestration.warehouse import settings
from orchestration.warehouse.provision import provision


def _refused(server, database, role, statement):
    with (
        psycopg.connect(server(database, role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "database, role", [("dev", "analyst"), ("dev", "dbt_ci"), ("pro", "dbt_pro")]
)
@pytest.mark.parametrize(
    "statement",
    [
        "insert into data_lake.customer_transactions (transaction_id) values ('x')",
        "update data_lake.customer_transactions set price = '1'",
        "delete from data_lake.customer_transactions",
        "create table data_lake.mine (id int)",
    ],
)
def test_dbt_cannot_write_the_lake(server, database, role, statement):
    _refused(server, database, role, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into forex.customer_transactions (transaction_id) values ('x')",
        "truncate forex.customer_transactions",
        "drop table forex.customer_transactions",
        "create table forex.mine (id int)",
    ],
)
def test_the_reader_only_reads(server, statement):
    """The second lock: what the foreign servers log in as has no right to write either."""
    _refused(server, "data_lake", "lake_reader", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from forex.customer_transactions",
        "truncate forex.load_ledger",
        "alter table forex.customer_transactions drop column price",
        "create table forex.mine (id int)",
        "create schema mine",
    ],
)
def test_the_loader_only_loads(server, statement):
    _refused(server, "data_lake", "loader", statement)


@pytest.mark.parametrize("role", [*settings.SERVICE_ROLES, "analyst"])
def test_no_role_is_privileged(lake, role):
    flags = lake.execute(
        "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        " from pg_roles where rolname = %s",
        [role],
    ).fetchone()
    assert flags == (False,) * 5


@pytest.mark.parametrize(
    "database, role",
    [
        ("pro", "loader"),
        ("dev", "loader"),
        ("dev", "lake_reader"),
        ("dev", "pro_reader"),
        ("dev", "dbt_pro"),
        ("data_lake", "analyst"),
        ("data_lake", "dbt_pro"),
        ("data_lake", "dbt_ci"),
        ("data_lake", "pro_reader"),
        ("data_lake", "dashboard"),
        ("dev", "dashboard"),
        ("dev", "monitor"),
    ],
)
def test_each_role_is_kept_out_of_the_other_databases(server, database, role):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server(database, role))


@pytest.mark.parametrize("role", ["analyst", "dbt_ci"])
def test_pro_is_read_by_all_and_written_by_one(server, role):
    with psycopg.connect(server("pro", "dbt_pro"), autocommit=True) as owner:
        owner.execute("drop schema if exists readable cascade")
        owner.execute("create schema readable create table numbers (n int)")
        with psycopg.connect(server("pro", role)) as reader:
            assert reader.execute("select count(*) from readable.numbers").fetchone() == (0,)
        _refused(server, "pro", role, "insert into readable.numbers values (1)")
        _refused(server, "pro", role, "create schema mine")
        owner.execute("drop schema readable cascade")


def test_a_dashboard_reads_marts_only(server):
    with psycopg.connect(server("pro", "dbt_pro"), autocommit=True) as owner:
        owner.execute("create schema below create table people (name text)")
        owner.execute("create view data_marts.people as select * from below.people")
        try:
            with psycopg.connect(server("pro", "dashboard")) as reader:
                assert reader.execute("select count(*) from data_marts.people").fetchone() == (0,)
            allowed = "select has_table_privilege('dashboard', 'below.people', 'select')"
            assert owner.execute(allowed).fetchone() == (False,)
            for refused in (
                "select * from below.people",
                "select * from data_lake.customer_transactions",
                "delete from data_marts.people",
                "create table data_marts.mine (n int)",
            ):
                _refused(server, "pro", "dashboard", refused)
        finally:
            owner.execute("drop view data_marts.people; drop schema below cascade")


def test_a_monitor_reads_the_ledger_and_no_data(server):
    with psycopg.connect(server("data_lake", "monitor")) as monitor:
        monitor.execute("select count(*) from forex.load_ledger")
    for refused in (
        "select * from forex.customer_transactions",
        "select * from forex.rejected_row",
        "update forex.load_ledger set rows_read = 0",
    ):
        _refused(server, "data_lake", "monitor", refused)


@pytest.mark.parametrize("statement", ["create schema mine", "create table deferral.mine (n int)"])
def test_the_reader_of_pro_only_reads(server, statement):
    _refused(server, "pro", "pro_reader", statement)


@pytest.mark.parametrize("role", ["postgres", "loader", "analyst"])
def test_a_password_is_asked_for(server, role):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server("dev", role), passfile="/dev/null", password="")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server("dev", role), password=role)


def test_again_changes_nothing(server, lake):
    def catalogue():
        return [
            lake.execute(query).fetchall()
            for query in (
                "select rolname, rolconfig::text from pg_roles order by 1",
                "select datname, datacl::text from pg_database order by 1",
                "select relname, relacl::text, oid::text from pg_class"
                " where relnamespace = 'forex'::regnamespace and relkind <> 'v' order by 1",
            )
        ]

    provision()
    before = catalogue()
    provision()
    assert catalogue() == before


def test_passwords_are_private_and_stay(server):
    assert settings.passfile().stat().st_mode & 0o777 == 0o600
    before = settings.passfile().read_text()
    settings.ensure_passwords()
    assert settings.passfile().read_text() == before
    assert len(set(settings.passwords().values())) == len(settings.passwords())


def test_a_new_landing_column_reaches_the_warehouses(server, lake):
    lake.execute("alter table forex.customer_transactions add column channel text")
    try:
        provision()
        for database, role in (("dev", "analyst"), ("pro", "dbt_pro")):
            with psycopg.connect(server(database, role)) as reader:
                reader.execute("select channel from data_lake.customer_transactions")
    finally:
        lake.execute("alter table forex.customer_transactions drop column channel")
        for database in ("dev", "pro"):
            with psycopg.connect(server(database, "postgres"), autocommit=True) as admin:
                admin.execute(
                    "alter foreign table data_lake.customer_transactions drop column channel"
                )
