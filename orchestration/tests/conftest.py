"""A throw-away PostgreSQL server for the tests; the user's own is never touched."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Before anything reads the settings: every process that a test starts inherits these.
(CHECKOUT / ".cache").mkdir(exist_ok=True)
SCRATCH = Path(tempfile.mkdtemp(prefix="test-server-", dir=CHECKOUT / ".cache"))
for name in [name for name in os.environ if name.startswith(("WAREHOUSE_", "PG"))]:
    del os.environ[name]
os.environ["WAREHOUSE_FOLDER"] = str(SCRATCH)
os.environ["WAREHOUSE_PORT"] = str(_free_port())
os.environ["PGPASSFILE"] = str(SCRATCH / "pgpass")
os.environ["DBT_PROFILES_DIR"] = str(CHECKOUT / "profiles")
# Durability is for crashes of the machine; the crash tests here kill processes only.
os.environ["WAREHOUSE_SERVER_OPTIONS"] = "fsync=off shared_buffers=128MB"

import psycopg  # noqa: E402
import pytest  # noqa: E402

from orchestration.warehouse import server as embedded  # noqa: E402
from orchestration.warehouse.provision import provision  # noqa: E402
from orchestration.warehouse.settings import conninfo  # noqa: E402


@pytest.fixture(scope="session")
def server():
    """The provisioned server; its value is `conninfo(database, role)`."""
    embedded.start()
    provision()
    yield conninfo
    embedded.stop()
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture
def lake(server):
    """An administrator's connection to an empty lake."""
    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as connection:
        connection.execute(
            "truncate forex.customer_transactions, forex.rejected_row,"
            " forex.load_chunk, forex.load_ledger"
        )
        yield connection


@pytest.fixture
def analyst_connection(server):
    """The analyst's connection to `dev`."""
    with psycopg.connect(server("dev", "analyst"), autocommit=True) as connection:
        yield connection
