"""The cluster, beside the throw-away server of all other tests."""

import fcntl
import os
from contextlib import contextmanager
from unittest.mock import patch

import psycopg
import pytest

from orchestration.tests.support import empty_lake
from orchestration.warehouse import settings
from orchestration.warehouse.provision import provision

MISSING = (
    "no Citus cluster: let CITUS_COORDINATOR (host:port), CITUS_WORKERS (host:port,…)"
    " and CITUS_ADMIN_PASSWORD (of postgres) lead to one that may be written to"
)


def _environment():
    """Return the environment that makes the cluster the warehouse; none where there is none."""
    coordinator, workers, password = map(
        os.environ.get, ("CITUS_COORDINATOR", "CITUS_WORKERS", "CITUS_ADMIN_PASSWORD")
    )
    if not (coordinator and workers and password):
        return None
    host, _, port = coordinator.rpartition(":")
    return {
        "WAREHOUSE_HOST": host,
        "WAREHOUSE_PORT": port,
        "WAREHOUSE_WORKERS": workers,
        "WAREHOUSE_ADMIN_PASSWORD": password,
    }


class Cluster:
    """The cluster; `with cluster:` makes it the warehouse, for this process and its children."""

    def __init__(self, environment, folder):
        # Passwords of its own: those in the throw-away server's file are that server's.
        passfile = str(folder / "pgpass")
        self.environment = environment
        self._own = environment | {"WAREHOUSE_PASSFILE": passfile, "PGPASSFILE": passfile}
        self.workers = environment["WAREHOUSE_WORKERS"].split(",")

    @contextmanager
    def __call__(self):
        with patch.dict(os.environ, self._own):
            yield

    def connect(self, database, role="postgres", node=None, **options):
        with self():
            conninfo = settings.conninfo(database, role, node and tuple(node.rsplit(":", 1)))
        return psycopg.connect(conninfo, autocommit=True, **options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    environment = _environment()
    if not environment:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("cluster")
    # One module at a time: there is one cluster, and pytest may run in several processes.
    with (settings.CHECKOUT / ".cache" / "citus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = Cluster(environment, folder)
        with found():
            provision()
        yield found


@pytest.fixture
def spread_lake(cluster):
    """An administrator's connection to the cluster's empty lake."""
    with cluster.connect("data_lake") as connection:
        empty_lake(connection)
        yield connection
