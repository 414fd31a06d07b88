"""kill -9 of the loader, of dbt and of PostgreSQL at random moments; then again; then compare.

`CRASHES` sets how many (`make test-deep` has many); the seed is in pytest's header.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests.support import Dbt, contents
from orchestration.warehouse import server as embedded
from orchestration.warehouse import settings
from orchestration.warehouse.settings import CHECKOUT

CRASHES = int(os.environ.get("CRASHES", "50"))
# Now and then a build comes through, as increments are what is to be interrupted.
RUNS_AGAIN_AFTER = 5
DBT = str(Path(sys.executable).with_name("dbt"))


def _write(path, seed):
    """A file of 3,000 rows; other seeds correct some of them and add defects."""
    rows = list(transactions(3000, seed=1, defects=0.02))
    rng = random.Random(seed)
    for row in rng.sample(rows, 300):
        row[5] = rng.choice(["", "7.0"])
        row[4] = rng.choice(["Product 1", "Product 2"])
    lines = [",".join(COLUMNS), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _load_command(path):
    return [sys.executable, "-m", "orchestration.loader", str(path), "--rows-per-chunk", "200"]


def _build_command(folder):
    return [DBT, "run", "--target", "dev", "--target-path", str(folder), "--log-path", str(folder)]


def _run(command):
    return subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _complete(command):
    process = _run(command)
    output = process.communicate(timeout=180)[0]
    assert process.returncode == 0, output


def _kill_server():
    data = settings.SERVER_FOLDER / "data"
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def test_killed_anywhere_run_again_right(server, lake, tmp_path):
    rng = random.Random(int(os.environ["SEED"]))
    folder = tmp_path / "dbt"
    _complete([*_build_command(folder), "--full-refresh"])
    # From when on, and until when, each of them is at work.
    moments = {"loader": (0.3, 1.2), "dbt": (1.5, 5.0)}
    for number in range(CRASHES):
        path = _write(tmp_path / "next.csv", rng.randrange(1000))
        doing = rng.choice(["loader", "dbt"])
        process = _run(_load_command(path) if doing == "loader" else _build_command(folder))
        time.sleep(rng.uniform(*moments[doing]))
        if rng.random() < 0.4:
            _kill_server()
            process.communicate(timeout=180)
            embedded.start()
        else:
            process.kill()
            process.communicate()
        if number % RUNS_AGAIN_AFTER == 0:
            _complete(_build_command(folder))
    _complete(_load_command(path))
    _complete(_build_command(folder))
    refreshed = Dbt("ci", tmp_path / "ci")
    refreshed("run", "--full-refresh")
    with psycopg.connect(server("dev", "postgres")) as dev:
        incremental, full = contents(dev, "analyst_"), contents(dev, "ci_local_")
    for model, rows in full.items():
        assert incremental[model] == rows, model
    with psycopg.connect(server("data_lake", "postgres")) as connection:
        landed = connection.execute("select count(*) from forex.customer_transactions").fetchone()[
            0
        ]
        broken = connection.execute(
            "select count(*) from forex.load_ledger where finished_at is not null and rows_read <>"
            " rows_inserted + rows_updated + rows_unchanged + rows_superseded + rows_rejected"
        ).fetchone()[0]
    assert broken == 0
    assert landed == len(incremental["cleaned_transaction"])
