"""A build while a load is running: its tests hold, and the next build has the rest."""

import csv
import subprocess
import sys

import psycopg

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


def test_a_build_during_a_load_is_right(server, lake, tmp_path):
    """Loads of 200 small chunks, so that each build begins between two commits of one."""
    incremental = Dbt("dev", tmp_path / "dev")
    incremental("run", "--full-refresh")
    seen = set()
    for seed in (1, 2):
        path = _write(tmp_path / f"{seed}.csv", seed)
        loading = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestration.loader", str(path)),
                *("--workers", "1", "--rows-per-chunk", "100"),
            ],
            cwd=CHECKOUT,
        )
        while loading.poll() is None:
            incremental("build", "--exclude", "test_type:unit")
            with psycopg.connect(server("dev", "postgres")) as dev:
                query = "select count(*) from analyst_silver.cleaned_transaction"
                seen.add(dev.execute(query).fetchone()[0])
        assert loading.returncode == 0
    assert len(seen) > 2  # some build did see half a load
    incremental("build", "--exclude", "test_type:unit")
    refreshed = Dbt("ci", tmp_path / "ci")
    refreshed("run", "--full-refresh")
    with psycopg.connect(server("dev", "postgres")) as dev:
        left, right = contents(dev, "analyst_"), contents(dev, "ci_local_")
    for model, rows in right.items():
        assert left[model] == rows, model
