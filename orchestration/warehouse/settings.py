"""Where the warehouse is and how to log in to it.

With ``WAREHOUSE_HOST`` unset, the warehouse is the embedded server of this checkout. Set, it is
any PostgreSQL server; ``WAREHOUSE_ADMIN_USER`` and ``WAREHOUSE_ADMIN_PASSWORD`` then name the
superuser that provisioning logs in as. The passwords of all other roles are made by
`ensure_passwords` and kept in one libpq password file that only its owner can read.

With ``WAREHOUSE_WORKERS`` set (``host:port``, separated by commas), that server is the coordinator
of a Citus cluster with these workers: docs/operations/citus.md.
"""

from __future__ import annotations

import os
import re
import secrets
import zlib
from pathlib import Path

from psycopg.conninfo import make_conninfo

from orchestration.warehouse.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[2]
SERVER_FOLDER = Path(os.environ.get("WAREHOUSE_FOLDER", CHECKOUT / ".server"))
DATABASES = ("data_lake", "dev", "pro")
Node = tuple[str, int]  # host, port
# Roles that log in, beside the analyst and the administrator.
SERVICE_ROLES = (
    "loader",
    "lake_reader",
    "pro_reader",
    "dbt_pro",
    "dbt_ci",
    "monitor",
    "dashboard",
)


def is_embedded() -> bool:
    """Whether the warehouse is the embedded server of this checkout."""
    return not os.environ.get("WAREHOUSE_HOST")


def host() -> str:
    """Host name of the warehouse server."""
    return os.environ.get("WAREHOUSE_HOST") or "127.0.0.1"


def port() -> int:
    """TCP port of the warehouse server.

    The embedded server's default differs from checkout to checkout, so that two of them run side
    by side, and lies below the range from which systems take ephemeral ports.
    """
    chosen = os.environ.get("WAREHOUSE_PORT")
    if chosen is None and is_embedded():
        recorded = SERVER_FOLDER / "port"
        if recorded.exists():
            return int(recorded.read_text())
        return 20000 + zlib.crc32(str(SERVER_FOLDER).encode()) % 10000
    if not (chosen or "5432").isdigit() or not 1024 <= int(chosen or "5432") <= 65535:
        raise UserError(f"WAREHOUSE_PORT is {chosen!r}; give a number from 1024 to 65535")
    return int(chosen or "5432")


def workers() -> list[Node]:
    """Return the worker nodes of the Citus cluster; none when the warehouse is one server."""
    nodes = []
    for address in filter(None, os.environ.get("WAREHOUSE_WORKERS", "").split(",")):
        name, _, number = address.strip().rpartition(":")
        if not name or not number.isdigit():
            raise UserError(
                f"WAREHOUSE_WORKERS names {address!r}; give host:port, separated by commas"
            )
        nodes.append((name, int(number)))
    return nodes


def physical_database(database: str) -> str:
    """Return where one of `DATABASES` lives.

    On a cluster the lake is a schema of `pro`: only inside one database do its rows go from worker
    to worker, instead of all through the coordinator.
    """
    return "pro" if database == "data_lake" and workers() else database


def admin() -> str:
    """Superuser that provisioning, and nothing else, logs in as."""
    return os.environ.get("WAREHOUSE_ADMIN_USER", "postgres")


def analyst() -> str:
    """Login role of the analyst at this machine; also the prefix of their schemas in `dev`."""
    name = os.environ.get("WAREHOUSE_USER", "analyst")
    # dev's schemas pro_… and ci_… are the window on pro and the builds of pull requests.
    if not re.fullmatch(r"(?!(pro|ci)(_|$))[a-z][a-z0-9_]{0,40}", name):
        raise UserError(
            f"WAREHOUSE_USER is {name!r}; give lower-case letters, digits and _ (it names schemas),"
            " not beginning with pro_ or ci_"
        )
    return name


def passfile() -> Path:
    """Password file, in libpq's format."""
    return Path(os.environ.get("WAREHOUSE_PASSFILE", SERVER_FOLDER / "pgpass"))


def passwords() -> dict[str, str]:
    """Password of each role in the password file; none when there is no file yet."""
    if not passfile().exists():
        return {}
    entries = (line.split(":") for line in passfile().read_text().splitlines())
    return {role: password for *_, role, password in entries}


def ensure_passwords() -> dict[str, str]:
    """Make the passwords that do not exist yet, and return all of them by role."""
    known = passwords()
    roles = (*SERVICE_ROLES, analyst(), *((admin(),) if is_embedded() else ()))
    missing = {role: secrets.token_urlsafe(24) for role in roles if role not in known}
    if missing:
        passfile().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = passfile().with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        known |= missing
        fresh.write_text("".join(f"*:*:*:{role}:{known[role]}\n" for role in known))
        fresh.replace(passfile())
    return known


def conninfo(database: str, role: str, node: Node | None = None) -> str:
    """Return a libpq connection string for `role` on `database`, of a worker if `node` names one.

    It names the password file instead of the password, so that it is safe in a process list.
    """
    host_name, port_number = node or (host(), port())
    arguments = {
        "host": host_name,
        "port": str(port_number),
        "dbname": physical_database(database),
        "user": role,
        "passfile": str(passfile()),
    }
    admin_password = os.environ.get("WAREHOUSE_ADMIN_PASSWORD")
    if role == admin() and admin_password:
        arguments["password"] = admin_password
    return make_conninfo(**arguments)
