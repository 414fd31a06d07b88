"""The same files and the same builds give the same relations on one server and on a cluster."""

import csv
import random
from contextlib import nullcontext
from decimal import Decimal

import psycopg
import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests import support
from orchestration.tests.end_to_end.test_known_figures import REFERENCE
from orchestration.tests.support import Dbt, contents
from orchestration.warehouse import settings

ROWS = 2000


def _files(folder):
    """A first file; then corrections, sales that move to other customers, defects and cures."""
    rng = random.Random(8)
    rows = list(transactions(ROWS, seed=8, defects=0.05))
    for number in range(3):
        path = folder / f"{number}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        yield path
        for row in rng.sample(rows, ROWS // 10):
            column = rng.choice(
                ["customer_first_name", "product_name", "quantity", "price", "customer_city"]
            )
            row[COLUMNS.index(column)] = rng.choice(["", "Ada", "Two Hundred", "7.0", "Cork"])


def _history(place, files, folder):
    """Play the history in one place; what `pro` holds after each build."""
    with place(), psycopg.connect(settings.conninfo("pro", "postgres"), autocommit=True) as pro:
        dbt = Dbt("pro", folder)
        found = []
        for number, path in enumerate(files):
            support.load(path)
            dbt("build", *(["--full-refresh"] if number == 0 else ["--exclude", "test_type:unit"]))
            found.append(contents(pro, ""))
        dbt("run", "--full-refresh")
        found.append(contents(pro, ""))
    return found


def test_every_relation_after_every_build(server, lake, cluster, spread_lake, tmp_path):
    files = list(_files(tmp_path))
    one = _history(nullcontext, files, tmp_path / "one")
    many = _history(cluster, files, tmp_path / "many")
    for left, right in zip(one, many, strict=True):
        for model, rows in left.items():
            assert rows, model
            assert right[model] == rows, model
    assert many[-1] == many[-2]  # what increments made is what a full refresh makes


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference file is not beside this checkout")
def test_the_reference_file(cluster, spread_lake, tmp_path):
    with cluster():
        support.load(REFERENCE)
        Dbt("pro", tmp_path)("build", "--full-refresh")
    with cluster.connect("pro") as pro:
        found = contents(pro, "")
        for mart in ("country", "customer", "monthly"):
            total = pro.execute(f"select sum(revenue) from data_marts.agg_sales_{mart}").fetchone()
            assert total == (Decimal("46411.29"),)
    counted = ("transaction", "customer_dim", "location_dim", "product_dim", "missing_quantity")
    assert [len(found[model]) for model in counted] == [100, 100, 90, 5, 16]


def test_a_sale_that_moves_to_another_customer(cluster, spread_lake, tmp_path):
    """Its old row lies on another shard than its new one."""
    with cluster():
        dbt = Dbt("pro", tmp_path)
        dbt("run", "--full-refresh")
        for name in ("Ada", "Ben", "Chloé", "Ada"):
            records = [{"transaction_id": "1", "customer_first_name": name}]
            support.load(support.write_csv(tmp_path / "1.csv", records))
            dbt("run")
            with cluster.connect("pro") as pro:
                assert pro.execute(
                    "select first_name, count(*) from gold.transaction_fct"
                    " inner join gold.customer_dim using (customer_id) group by first_name"
                ).fetchall() == [(name, 1)]
                for relation in ("silver.transaction", "gold.transaction_fct", "gold.customer_dim"):
                    assert pro.execute(f"select count(*) from {relation}").fetchone() == (1,)
