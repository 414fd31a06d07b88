"""Databases, roles, grants, the landing tables and the door between them.

`python -m orchestration.warehouse.provision` brings a PostgreSQL server, new or old, to what
`docs/decisions/0002-databases-and-roles.md` describes. Embedded server, containers, CI and tests
all use it, and it may be run at any time: what is right already is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
from psycopg import sql

from orchestration.warehouse import citus, settings
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.layouts import layout, tables

SCRIPTS = Path(__file__).parent / "provisioning"
WAREHOUSES = ("dev", "pro")
MINIMUM_VERSION = 170000  # MERGE … RETURNING, transaction_timeout, built-in C.UTF-8
Connection = psycopg.Connection[tuple[object, ...]]


def _connect(database: str, node: settings.Node | None = None) -> Connection:
    try:
        connection = psycopg.connect(
            settings.conninfo(database, settings.admin(), node), autocommit=True
        )
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1]
        start = (
            "`make run` starts it"
            if settings.is_embedded()
            else "is it up, and the password right?"
        )
        host, port = node or (settings.host(), settings.port())
        raise UserError(
            f"no connection to PostgreSQL at {host}:{port} "
            f"as {settings.admin()} ({reason}); {start}"
        ) from error
    connection.execute("set client_min_messages = warning")
    return connection


def _fetch(connection: Connection, query: str, *parameters: object) -> list[tuple[object, ...]]:
    return connection.execute(query, parameters).fetchall()


def _roles(connection: Connection, passwords: dict[str, str]) -> None:
    known = {name for (name,) in _fetch(connection, "select rolname from pg_roles")}
    if "analysts" not in known:
        connection.execute("create role analysts nologin")
    for role in (*settings.SERVICE_ROLES, settings.analyst()):
        name = sql.Identifier(role)
        # Hashed here, so that no statement and no server log ever holds a password.
        verifier = connection.pgconn.encrypt_password(
            passwords[role].encode(), role.encode(), b"scram-sha-256"
        ).decode()
        if role not in known:
            connection.execute(sql.SQL("create role {} login").format(name))
        connection.execute(
            sql.SQL(
                "alter role {} with login nosuperuser nocreatedb nocreaterole password {}"
            ).format(name, sql.Literal(verifier))
        )
    connection.execute(sql.SQL("grant analysts to {}").format(sql.Identifier(settings.analyst())))
    # A loader that hangs must not hold back for ever what the warehouse may read.
    connection.execute("alter role loader set transaction_timeout = '15min'")
    # Statistics of the server, for metrics: no row of any table.
    connection.execute("grant pg_monitor to monitor")
    # What people ask of a dashboard must not slow the build.
    connection.execute("alter role dashboard set statement_timeout = '30s'")


def _databases(connection: Connection) -> None:
    known = {name for (name,) in _fetch(connection, "select datname from pg_database")}
    lake = settings.physical_database("data_lake")
    for database in dict.fromkeys(map(settings.physical_database, settings.DATABASES)):
        name = sql.Identifier(database)
        if database not in known:
            # Byte order: the fastest collation, the same on every machine, upgrade after upgrade.
            connection.execute(
                sql.SQL(
                    "create database {} template template0 encoding 'UTF8' "
                    "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'"
                ).format(name)
            )
        connection.execute(sql.SQL("revoke all on database {} from public").format(name))
    for grant in (
        f"grant connect, temporary on database {lake} to loader",
        f"grant connect on database {lake} to lake_reader, monitor",
        "grant connect on database pro to pro_reader",
        "grant connect, temporary, create on database dev to analysts, dbt_ci",
        "grant connect, temporary, create on database pro to dbt_pro",
        "grant connect, temporary on database pro to analysts, dbt_ci",
        "grant connect on database pro to monitor, dashboard",
    ):
        connection.execute(grant)


def _columns(connection: Connection, schema: str) -> list[tuple[object, ...]]:
    return _fetch(
        connection,
        """
        select table_name, column_name, data_type from information_schema.columns
        where table_schema = %s order by table_name, ordinal_position
        """,
        schema,
    )


def _foreign_tables(lake: Connection, warehouse: Connection) -> None:
    """Give the warehouse a foreign table for each landing table, and each of its columns."""
    have = _columns(warehouse, "data_lake")
    for table, column, data_type in _columns(lake, "forex"):
        if table not in {row[0] for row in have}:
            warehouse.execute(
                sql.SQL(
                    "import foreign schema forex limit to ({}) from server data_lake into data_lake"
                ).format(sql.Identifier(str(table)))
            )
            have = _columns(warehouse, "data_lake")
        elif (table, column, data_type) not in have:
            # A column added to the landing table later; the type is the lake's own catalogue entry.
            warehouse.execute(
                sql.SQL("alter foreign table data_lake.{} add column {} {}").format(
                    sql.Identifier(str(table)), sql.Identifier(str(column)), sql.SQL(str(data_type))
                )
            )


def _landing(lake: Connection) -> None:
    kind = "landing_citus.sql" if settings.workers() else "landing_one_server.sql"
    for landing in map(layout, tables()):
        table = sql.Identifier("forex", landing.table)
        for script in ("landing.sql", kind):
            lake.execute(
                sql.SQL((SCRIPTS / script).read_text()).format(
                    table=table,
                    table_text=sql.Literal(f"forex.{landing.table}"),
                    index=sql.Identifier(f"{landing.table}_changes"),
                    key=sql.Identifier(landing.key),
                    key_text=sql.Literal(landing.key),
                    typed_columns=sql.SQL(", ").join(
                        sql.SQL("{} text").format(sql.Identifier(name)) for name in landing.columns
                    ),
                )
            )
        # A column that the layout was given later. Rows that are there keep NULL in it.
        have = _columns(lake, "forex")
        for name in landing.columns:
            if (landing.table, name, "text") not in have:
                lake.execute(
                    sql.SQL("alter table {} add column {} text").format(table, sql.Identifier(name))
                )


def _warehouse(connection: Connection, lake: Connection, passwords: dict[str, str]) -> None:
    database = str(connection.info.dbname)
    readers = {"dev": "analysts, dbt_ci", "pro": "analysts, dbt_ci, dbt_pro"}
    connection.execute((SCRIPTS / "warehouse.sql").read_bytes())
    if database == lake.info.dbname:
        citus.show_lake(connection, readers[database])
    else:
        _door(connection, "data_lake", "lake_reader", passwords)
        _foreign_tables(lake, connection)
    for grant in ("usage on schema", "select on all tables in schema"):
        connection.execute(f"grant {grant} data_lake to {readers[database]}")
    if database == "dev":
        _door(connection, "pro", "pro_reader", passwords)
    connection.execute((SCRIPTS / f"deferral_{database}.sql").read_bytes())
    if database == "pro":
        connection.execute((SCRIPTS / "dashboard.sql").read_bytes())
        if settings.workers():
            connection.execute((SCRIPTS / "dashboard_citus.sql").read_bytes())


def _door(connection: Connection, database: str, role: str, passwords: dict[str, str]) -> None:
    """Make a foreign server for a database that everybody enters as `role`, a mere reader."""
    name = sql.Identifier(database)
    if not _fetch(connection, "select from pg_foreign_server where srvname = %s", database):
        with connection.transaction():
            connection.execute(
                sql.SQL("create server {} foreign data wrapper postgres_fdw").format(name)
            )
            connection.execute(sql.SQL("create user mapping for public server {}").format(name))
    # As seen from the server itself, the other database is on the same server.
    port = _fetch(connection, "select current_setting('port')")[0][0]
    _set_options(
        connection,
        sql.SQL("server {}").format(name),
        _fetch(
            connection,
            "select unnest(srvoptions) from pg_foreign_server where srvname = %s",
            database,
        ),
        {
            "host": "127.0.0.1",
            "port": str(port),
            "dbname": settings.physical_database(database),
            "fetch_size": "20000",
        },
    )
    _set_options(
        connection,
        sql.SQL("user mapping for public server {}").format(name),
        _fetch(
            connection,
            "select unnest(umoptions) from pg_user_mappings where srvname = %s and umuser = 0",
            database,
        ),
        {"user": role, "password": passwords[role]},
    )


def _set_options(
    connection: Connection,
    what: sql.Composed,
    found: list[tuple[object, ...]],
    wanted: dict[str, str],
) -> None:
    """Set the options of a foreign server or user mapping, and only those that differ."""
    have = dict(str(option).split("=", 1) for (option,) in found)
    changes = [
        sql.SQL("{} {} {}").format(
            sql.SQL("set" if name in have else "add"), sql.Identifier(name), sql.Literal(value)
        )
        for name, value in wanted.items()
        if have.get(name) != value
    ]
    if changes:
        connection.execute(
            sql.SQL("alter {} options ({})").format(what, sql.SQL(", ").join(changes))
        )


def _join_workers(passwords: dict[str, str]) -> None:
    """Give each worker node the same roles and databases, and make it part of the cluster."""
    workers = settings.workers()
    for worker in workers:
        with _connect("postgres", worker) as server:
            _roles(server, passwords)
            _databases(server)
    for database in WAREHOUSES if workers else ():
        for node in (None, *workers):
            with _connect(database, node) as connection:
                citus.let_in(connection, passwords)
        with _connect(database) as coordinator:
            citus.add_workers(coordinator, workers)


def provision() -> None:
    """Bring the server to the state that this module describes."""
    passwords = settings.ensure_passwords()
    with _connect("postgres") as server:
        if server.info.server_version < MINIMUM_VERSION:
            raise UserError(
                f"PostgreSQL {server.info.parameter_status('server_version')} at "
                f"{settings.host()}:{settings.port()} is too old; version 17 or later is needed"
            )
        # Two provisionings at once would trip over each other's half-made roles.
        server.execute("select pg_advisory_lock(hashtext('forex_warehouse.provision'))")
        _roles(server, passwords)
        _databases(server)
        _join_workers(passwords)
        with _connect("data_lake") as lake:
            _landing(lake)
            for database in WAREHOUSES:
                with _connect(database) as warehouse:
                    _warehouse(warehouse, lake, passwords)


@one_line
def main() -> int:
    """Run the command line."""
    provision()
    return 0


if __name__ == "__main__":
    sys.exit(main())
