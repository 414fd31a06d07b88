"""The schemas of a pull request's build: `python -m orchestration.slim_ci.schemas drop ci_7`."""

from __future__ import annotations

import os
import re
import sys

import psycopg
from psycopg import sql

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line


def checked(prefix: str) -> str:
    """Return the prefix if it is a pull request's.

    It has one underscore, so that no prefix with an underscore after it begins another one.
    """
    if not re.fullmatch("ci_[a-z0-9]{1,30}", prefix):
        raise UserError(
            f"the schema prefix is {prefix!r}; only ci_<letters and digits> is a pull request's"
        )
    return prefix


def prefix() -> str:
    """Return the prefix of this build's schemas."""
    return checked(os.environ.setdefault("CI_SCHEMA_PREFIX", "ci_local"))


def drop(prefix: str) -> list[str]:
    """Drop the schemas of a pull request and return their names."""
    with psycopg.connect(settings.conninfo("dev", "dbt_ci")) as dev:
        found = dev.execute(
            "select nspname from pg_namespace where starts_with(nspname, %s) order by 1",
            [checked(prefix) + "_"],
        ).fetchall()
        for (schema,) in found:
            dev.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
    return [schema for (schema,) in found]


@one_line
def main() -> int:
    """Run the command line."""
    if len(sys.argv) != 3 or sys.argv[1] != "drop":
        raise UserError("say `drop ci_<…>`")
    dropped = drop(sys.argv[2])
    print(f"dropped: {', '.join(dropped)}" if dropped else f"{sys.argv[2]} has no schemas")
    return 0


if __name__ == "__main__":
    sys.exit(main())
