"""A throw-away PostgreSQL server for the tests; the user's own is never touched."""

import json
import os
import random
import shutil

from orchestration.warehouse import scratch

# Before anything reads the settings: every process that a test starts inherits these.
_scratch = scratch.environment()
for name in set(os.environ) - set(_scratch):
    del os.environ[name]
os.environ.update(_scratch)
# orchestration/tests/citus plays some of the tests again, elsewhere.
os.environ.update(json.loads(os.environ.get("PLAY_ON", "{}")))

import psycopg  # noqa: E402
import pytest  # noqa: E402

from orchestration.tests.support import empty_lake  # noqa: E402
from orchestration.warehouse import server as embedded  # noqa: E402
from orchestration.warehouse import settings  # noqa: E402
from orchestration.warehouse.provision import provision  # noqa: E402

# One seed for all that is random: printed, so that a failure can be played again.
SEED = int(os.environ.setdefault("SEED", str(random.randrange(10**6))))


def pytest_report_header():
    return f"SEED={SEED} (set it to play the same again)"


@pytest.fixture(scope="session")
def server():
    """The provisioned server; its value is `conninfo(database, role)`."""
    if settings.is_embedded():
        embedded.start()
    provision()
    yield settings.conninfo
    if settings.is_embedded():
        embedded.stop()


def pytest_unconfigure():
    shutil.rmtree(settings.SERVER_FOLDER, ignore_errors=True)


@pytest.fixture
def lake(server):
    """An administrator's connection to an empty lake."""
    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as connection:
        empty_lake(connection)
        yield connection


@pytest.fixture
def analyst_connection(server):
    """The analyst's connection to `dev`."""
    with psycopg.connect(server("dev", "analyst"), autocommit=True) as connection:
        yield connection
