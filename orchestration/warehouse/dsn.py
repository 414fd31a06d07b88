"""Print a libpq connection string: `python -m orchestration.warehouse.dsn data_lake|dev|pro`.

For people: the lake opens to its reader, the warehouses to the analyst, who reads `pro` and builds
in `dev`. The string names the password file, so no password is shown.
"""

import sys

import psycopg

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line


@one_line
def main() -> int:
    """Run the command line."""
    database = sys.argv[1] if len(sys.argv) == 2 else ""
    if database not in settings.DATABASES:
        raise UserError(f"DB is {database!r}; give one of {', '.join(settings.DATABASES)}")
    role = "lake_reader" if database == "data_lake" else settings.analyst()
    conninfo = settings.conninfo(database, role)
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"the warehouse does not answer ({reason}); run: make server") from error
    print(conninfo)
    return 0


if __name__ == "__main__":
    sys.exit(main())
