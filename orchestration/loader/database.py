"""How the loader connects, and what its transactions have in common."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

# It warns of what it cannot tidy up on a lost connection; the error itself is raised, and told.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(conninfo: str) -> Connection:
    """Return a connection in autocommit mode, so that transactions are where the code says.

    Args:
        conninfo: libpq connection string of the lake, as the role `loader`.

    Raises:
        psycopg.OperationalError: The server cannot be reached or refuses the login.

    """
    connection = psycopg.connect(conninfo, autocommit=True, application_name="forex loader")
    connection.execute("set temp_buffers = '64MB'")  # keeps a chunk's staging table in memory
    return connection
