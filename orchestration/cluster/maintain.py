"""Nightly upkeep of `pro`, as the role that owns it: `python -m orchestration.cluster.maintain`.

Autovacuum does most of it as the day goes; this makes sure that the day begins with fresh
statistics.
"""

from __future__ import annotations

import sys
import time

import psycopg
from psycopg import sql

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line

TABLES = """
    select schemaname, tablename from pg_tables
    where pg_has_role(tableowner, 'usage')
        and schemaname not in ('pg_catalog', 'information_schema')
    order by 1, 2
"""


@one_line
def main() -> int:
    """Run the command line."""
    try:
        connection = psycopg.connect(settings.conninfo("pro", "dbt_pro"), autocommit=True)
    except psycopg.OperationalError as error:
        raise UserError(f"no connection to the warehouse ({str(error).strip()})") from error
    with connection:
        for schema, table in connection.execute(TABLES).fetchall():
            started = time.monotonic()
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(schema, table)))
            print(f"vacuumed and analysed {schema}.{table} in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
