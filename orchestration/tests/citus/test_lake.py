"""Who may do what, where the lake is a schema of the warehouse's own database."""

import psycopg
import pytest

from orchestration.tests.support import Dbt
from orchestration.warehouse.provision import provision

READERS = ["dbt_pro", "dbt_ci", "analyst"]


@pytest.mark.parametrize("role", READERS)
@pytest.mark.parametrize(
    "statement",
    [
        "insert into forex.customer_transactions (transaction_id) values ('x')",
        "update forex.customer_transactions set price = '1'",
        "delete from forex.customer_transactions",
        "truncate forex.customer_transactions",
        "create table forex.mine (id int)",
        "create table data_lake.mine (id int)",
    ],
)
def test_dbt_cannot_write_the_lake(cluster, role, statement):
    with (
        cluster.connect("pro", role) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("role", READERS)
def test_nor_a_shard_of_it_on_a_worker(cluster, spread_lake, role):
    (shard, host, port) = spread_lake.execute(
        "select shard_name, nodename, nodeport from citus_shards"
        " where table_name = 'forex.customer_transactions'::regclass limit 1"
    ).fetchone()
    with cluster.connect("pro", role, f"{host}:{port}") as connection:
        connection.execute(f"select count(*) from {shard}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"delete from {shard}")


@pytest.mark.parametrize(
    "statement",
    [
        "delete from forex.customer_transactions",
        "truncate forex.load_ledger",
        "create table forex.mine (id int)",
        "create schema mine",
    ],
)
def test_the_loader_only_loads(cluster, statement):
    with (
        cluster.connect("data_lake", "loader") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_everybody_needs_a_password_on_every_node(cluster):
    for node in (None, *cluster.workers):
        with pytest.raises(psycopg.OperationalError, match="password"):
            cluster.connect("pro", "dbt_pro", node, passfile="/dev/null")


def test_again_changes_nothing(cluster, spread_lake):
    def catalogue():
        return [
            spread_lake.execute(query).fetchall()
            for query in (
                "select nodeid, nodename, nodeport, noderole from pg_dist_node order by 1",
                "select logicalrelid::text, partkey from pg_dist_partition order by 1",
                "select rolename, authinfo from pg_dist_authinfo order by 1",
                "select relname, relacl::text, oid::text from pg_class"
                " where relnamespace = 'forex'::regnamespace order by 1",
            )
        ]

    before = catalogue()
    with cluster():
        provision()
    assert catalogue() == before


def test_a_build_that_was_not_told_of_the_workers_stops(cluster, tmp_path, monkeypatch):
    """It would put all on the coordinator, and be green."""
    with cluster(), monkeypatch.context() as untold:
        dbt = Dbt("pro", tmp_path)
        untold.delenv("WAREHOUSE_WORKERS")
        with pytest.raises(AssertionError, match="let WAREHOUSE_WORKERS name the worker nodes"):
            dbt("run", "--select", "date_dim")


def test_a_new_landing_column_is_shown(cluster, spread_lake):
    with cluster():
        with spread_lake.transaction(force_rollback=False):
            spread_lake.execute("alter table forex.customer_transactions add column channel text")
        try:
            provision()
            for database, role in (("dev", "analyst"), ("pro", "dbt_pro")):
                with cluster.connect(database, role) as reader:
                    reader.execute("select channel from data_lake.customer_transactions")
        finally:
            spread_lake.execute("drop view data_lake.customer_transactions cascade")
            spread_lake.execute("alter table forex.customer_transactions drop column channel")
            with cluster.connect("dev") as dev:
                dev.execute("drop foreign table data_lake.customer_transactions cascade")
            provision()
