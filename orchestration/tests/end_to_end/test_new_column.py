"""The path of docs/new-column.md, walked in a copy of the checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from orchestration.tests.support import copy_checkout
from orchestration.warehouse import scratch, settings

DBT = str(Path(sys.executable).with_name("dbt"))


def _edit(path, before, after):
    text = path.read_text()
    assert before in text, (path, before)
    path.write_text(text.replace(before, after, 1))


@pytest.fixture
def project(tmp_path):
    """A copy of the checkout, and a way to run commands in it on a server of its own."""
    folder = copy_checkout(tmp_path / "copy")
    shutil.copytree(settings.CHECKOUT / "dbt_packages", folder / "dbt_packages")
    with scratch.server() as environment:
        environment |= {"PYTHONPATH": str(folder), "DBT_PROFILES_DIR": str(folder / "profiles")}

        def run(*command):
            return subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True
            )

        def query(statement):
            with psycopg.connect(
                host="127.0.0.1",
                port=environment["WAREHOUSE_PORT"],
                dbname="dev",
                user="analyst",
                passfile=environment["PGPASSFILE"],
            ) as connection:
                return connection.execute(statement).fetchall()

        yield folder, run, query


def _load(run, folder, name):
    loaded = run(sys.executable, "-m", "orchestration.loader", str(folder / name))
    assert loaded.returncode == 0, loaded.stderr


def test_a_new_column_from_the_file_to_silver(project):
    folder, run, query = project
    sample = (folder / "orchestration/sample/customer_transactions.csv").read_text().splitlines()
    (folder / "old.csv").write_text("\n".join(sample[:4]) + "\n")
    wide = [sample[0] + ",channel"] + [f"{line}, shop {n} " for n, line in enumerate(sample[3:6])]
    (folder / "new.csv").write_text("\n".join(wide) + "\n")
    _load(run, folder, "old.csv")
    assert run(DBT, "run", "--quiet").returncode == 0

    refused = run(sys.executable, "-m", "orchestration.loader", str(folder / "new.csv"))
    assert refused.returncode == 2
    assert "channel" in refused.stderr

    _edit(
        folder / "orchestration/warehouse/layouts/customer_transactions.toml",
        '    "customer_city",\n',
        '    "customer_city",\n    "channel",\n',
    )
    assert run(sys.executable, "-m", "orchestration.warehouse.provision").returncode == 0
    assert run(DBT, "run", "--quiet").returncode == 0  # nothing breaks on the way

    _load(run, folder, "new.csv")
    assert run(DBT, "run", "--quiet").returncode == 0

    models = folder / "models"
    _edit(
        models / "bronze/customer_transactions.sql",
        "    source_file,",
        "    channel,\n    source_file,",
    )
    silver = models / "silver/cleaned_transaction.sql"
    _edit(
        silver,
        "        source_file,",
        "        {{ clean_text('channel') }} as channel,\n        source_file,",
    )
    _edit(
        silver,
        "        customer_city,\n        reasons,",
        "        customer_city,\n        channel,\n        reasons,",
    )
    _edit(
        models / "silver/transaction.sql",
        "        customer_city,",
        "        customer_city,\n        channel,",
    )

    stopped = run(DBT, "run")
    assert stopped.returncode != 0
    assert "out of sync" in stopped.stdout
    refreshed = run(DBT, "run", "--full-refresh", "--select", "cleaned_transaction+")
    assert refreshed.returncode == 0, refreshed.stdout
    assert run(DBT, "build", "--quiet").returncode == 0
    channels = {name for (name,) in query("select channel from analyst_silver.transaction")}
    assert channels == {None, "shop 0", "shop 1", "shop 2"}
    assert query("select count(*) from analyst_silver.transaction") == [(5,)]
