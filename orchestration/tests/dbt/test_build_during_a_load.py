"""A build while a load is running: its tests hold, and the next build has the rest."""

import csv
import subprocess
import sys
import time

import psycopg
import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests.support import Dbt, contents
from orchestration.warehouse.settings import CHECKOUT


def _write(path, seed):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(transactions(20_000, seed, defects=0.02))
    return path


# A load stops before it commits this chunk, for as long as the test holds the lock.
HELD = """
create function forex.hold() returns trigger language plpgsql as $$
begin
    if new.chunk = 100 then
        perform pg_advisory_xact_lock(4711);
    end if;
    return new;
end
$$;
create trigger hold before insert on forex.load_chunk for each row execute function forex.hold()
"""


@pytest.fixture
def hold(lake):
    """The lake, whose loads stop in the middle while the lock 4711 is held."""
    lake.execute(HELD)
    yield lake
    lake.execute("drop function forex.hold() cascade")


def _wait_until_held(lake, loading):
    deadline = time.monotonic() + 120
    while not lake.execute(
        "select pid from pg_stat_activity where usename = 'loader' and wait_event = 'advisory'"
    ).fetchone():
        assert loading.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_build_during_a_load_is_right(server, hold, tmp_path):
    """Builds between two commits of a load of 200 small chunks, one of them still open."""
    incremental = Dbt("dev", tmp_path / "dev")
    incremental("run", "--full-refresh")

    def build():
        incremental("build", "--exclude", "test_type:unit")
        with psycopg.connect(server("dev", "postgres")) as dev:
            return dev.execute("select count(*) from analyst_silver.cleaned_transaction").fetchone()

    built = []
    for seed in (1, 2):
        path = _write(tmp_path / f"{seed}.csv", seed)
        hold.execute("select pg_advisory_lock(4711)")
        loading = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestration.loader", str(path)),
                *("--workers", "1", "--rows-per-chunk", "100"),
            ],
            cwd=CHECKOUT,
        )
        _wait_until_held(hold, loading)
        built.append(build())
        hold.execute("select pg_advisory_unlock(4711)")
        assert loading.wait() == 0
        built.append(build())
    assert (0,) < built[0] < built[1] <= built[2]
    refreshed = Dbt("ci", tmp_path / "ci")
    refreshed("run", "--full-refresh")
    with psycopg.connect(server("dev", "postgres")) as dev:
        left, right = contents(dev, "analyst_"), contents(dev, "ci_local_")
    for model, rows in right.items():
        assert left[model] == rows, model
