"""What provisioning does on a Citus cluster beyond what it does on each server.

`python -m orchestration.warehouse.citus` spreads the shards evenly, after workers were added.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line

Connection = psycopg.Connection[tuple[object, ...]]


def let_in(connection: Connection, passwords: dict[str, str]) -> None:
    """Make a database of one node part of Citus, and tell it the passwords for the other nodes.

    Args:
        connection: The administrator's, to a database of the node.
        passwords: By role.

    """
    connection.execute("create extension if not exists citus")
    own = {settings.admin(): os.environ.get("WAREHOUSE_ADMIN_PASSWORD")}
    for role, password in (passwords | {role: word for role, word in own.items() if word}).items():
        # 0 stands for every node.
        connection.execute(
            """
            insert into pg_dist_authinfo (nodeid, rolename, authinfo) values (0, %s, %s)
            on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo
            where pg_dist_authinfo.authinfo <> excluded.authinfo
            """,
            [role, make_conninfo(password=password)],
        )


def add_workers(coordinator: Connection, workers: Sequence[settings.Node]) -> None:
    """Make the workers known to the coordinator; those that it knows are left alone.

    Args:
        coordinator: The administrator's connection to a database of the coordinator.
        workers: Addresses, as all nodes reach them.

    """
    nodes = coordinator.execute("select nodename, nodeport from pg_dist_node").fetchall()
    if (settings.host(), settings.port()) not in nodes:
        coordinator.execute(
            "select citus_set_coordinator_host(%s, %s)", [settings.host(), settings.port()]
        )
    for node in workers:
        if node not in nodes:
            coordinator.execute("select citus_add_node(%s, %s)", node)
    # A full refresh picks the winner of each key on the coordinator: every clean row passes through
    # there, on disk. Left to itself Citus refuses more than 1 GB, some four million rows.
    coordinator.execute(
        sql.SQL("alter database {} set citus.max_intermediate_result_size = -1").format(
            sql.Identifier(coordinator.info.dbname)
        )
    )


def show_lake(connection: Connection, readers: str) -> None:
    """Show the lake, here a schema of the same database, where other warehouses have their door.

    Args:
        connection: The administrator's, to the database that holds the lake.
        readers: Roles, separated by commas. They need the right to read the tables themselves, as
            the workers know nothing of a view's owner.

    """
    tables = connection.execute(
        "select relname from pg_class"
        " where relnamespace = 'forex'::regnamespace and relkind in ('r', 'v')"
    ).fetchall()
    for (table,) in tables:
        connection.execute(
            sql.SQL(
                "create or replace view data_lake.{table} as select * from forex.{table}"
            ).format(table=sql.Identifier(str(table)))
        )
    for grant in ("usage on schema", "select on all tables in schema"):
        connection.execute(f"grant {grant} forex to {readers}")


def rebalance(coordinator: Connection) -> None:
    """Move shards until every worker holds as many, after workers were added.

    Writers of a shard wait while it moves. Citus can do without that for tables that have a primary
    key; those that dbt makes have none.

    Args:
        coordinator: The administrator's connection to a database of the coordinator.

    """
    coordinator.execute("select rebalance_table_shards(shard_transfer_mode => 'block_writes')")


@one_line
def main() -> int:
    """Run the command line: rebalance the cluster."""
    if not settings.workers():
        raise UserError("WAREHOUSE_WORKERS names no workers: there is nothing to rebalance")
    for database in ("dev", "pro"):
        conninfo = settings.conninfo(database, settings.admin())
        with psycopg.connect(conninfo, autocommit=True) as coordinator:
            rebalance(coordinator)
            held = coordinator.execute(
                "select nodename, nodeport, count(*) from citus_shards group by 1, 2 order by 1, 2"
            ).fetchall()
        for node in held:
            print("{}: {}:{} holds {} shards".format(database, *node))
    return 0


if __name__ == "__main__":
    sys.exit(main())
