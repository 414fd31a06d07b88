"""Where the work is done, as EXPLAIN tells it: on every worker."""

import csv
import re
import shutil

import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests import support
from orchestration.tests.support import Dbt

SPREAD = {
    "bronze.missing_quantity": "transaction_id",
    "silver.cleaned_transaction": "source_transaction_id",
    "silver.superseded_transaction": "source_transaction_id",
    "silver.transaction": "customer_id",
    "gold.transaction_fct": "customer_id",
    "gold.customer_dim": "customer_id",
}
REFERENCES = ("gold.product_dim", "gold.location_dim", "gold.date_dim")
MARTS = ("agg_sales_country", "agg_sales_customer", "agg_sales_monthly")


@pytest.fixture(scope="module")
def built(cluster, tmp_path_factory):
    """The cluster's `pro` after a full build and an increment; where dbt left the SQL of both."""
    folder = tmp_path_factory.mktemp("built")
    path = folder / "rows.csv"
    with cluster.connect("data_lake") as lake:
        lake.execute("truncate forex.customer_transactions")
    with cluster():
        dbt = Dbt("pro", folder)
        for seed, options in ((1, ["--full-refresh"]), (2, [])):
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(transactions(2000, seed))
            support.load(path)
            dbt("run", *options)
        dbt("run")
        shutil.copytree(folder / "compiled", folder / "nothing_new")
        dbt("compile", "--full-refresh")
    with cluster.connect("pro") as pro:
        pro.execute("set citus.explain_all_tasks = on")
        yield pro, folder


def _plan(pro, statement):
    return "\n".join(line for (line,) in pro.execute(f"explain (costs off) {statement}"))


def _nodes(plan):
    return {f"{host}:{port}" for host, port in re.findall(r"Node: host=(\S+) port=(\d+)", plan)}


def _sql(folder, kind, relation):
    layer, model = relation.split(".")
    return (folder / kind / f"forex_warehouse/models/{layer}/{model}.sql").read_text()


def test_how_tables_are_spread(built):
    pro, _ = built
    tables = {
        name: (kind, column, colocation)
        for name, kind, column, colocation in pro.execute(
            "select table_name::text, citus_table_type, distribution_column, colocation_id"
            " from citus_tables"
        )
    }
    _, landing_column, together = tables["forex.customer_transactions"]
    assert landing_column == "transaction_id"
    for relation, column in SPREAD.items():
        assert tables[relation] == ("distributed", column, together), relation
    for relation in REFERENCES:
        assert tables[relation][0] == "reference", relation


@pytest.mark.parametrize("relation", [*SPREAD, *REFERENCES])
def test_a_build_without_news_fetches_nothing(built, relation):
    """What lies on the shards is looked up there; 2000 rows, fetched whole, are 100 kB and more."""
    pro, folder = built
    plan = "\n".join(
        line for (line,) in pro.execute(f"explain analyze {_sql(folder, 'nothing_new', relation)}")
    )
    fetched = re.findall(r"Intermediate Data Size: (\d+) (bytes|kB|MB)", plan)
    assert fetched or "Subplan" not in plan
    assert all(unit == "bytes" for _, unit in fetched), fetched


@pytest.mark.parametrize(("database", "role"), [("pro", "dbt_pro"), ("dev", "analyst")])
def test_a_full_refresh_may_be_larger_than_a_gigabyte(built, cluster, database, role):
    with cluster.connect(database, role) as connection:
        found = connection.execute("show citus.max_intermediate_result_size").fetchone()
    assert found == ("-1",)


def test_rows_of_a_build_leave_nothing_behind(built):
    pro, _ = built
    left = pro.execute("select relname from pg_class where relname like '%%__dbt_%%'").fetchall()
    assert left == []


@pytest.mark.parametrize("relation", ["silver.cleaned_transaction", "bronze.missing_quantity"])
def test_what_reads_the_lake_works_where_the_rows_lie(built, cluster, relation):
    """Nothing passes through the coordinator, not even when all is built anew."""
    pro, folder = built
    statement = f"insert into {relation} {_sql(folder, 'compiled', relation)}"
    plan = _plan(pro, statement)
    assert _nodes(plan) == set(cluster.workers)
    assert "Subplan" not in plan
    assert "pull to coordinator" not in plan
    assert "Sort" not in plan  # the `order by` of cleaned_transaction sorts nothing


@pytest.mark.parametrize("relation", SPREAD)
def test_merges_run_on_every_worker(built, cluster, relation):
    pro, folder = built
    delete, merge = _sql(folder, "run", relation).rpartition("$$;")[2].split(";")
    waiting = re.search(r"from (\S+) where load_timestamp", merge)[1]
    key = re.search(r"on old.(\w+) = new", merge)[1]
    with pro.transaction(force_rollback=True):
        pro.execute(f"create table {waiting} as select * from {relation} with no data")
        pro.execute(f"select create_distributed_table('{waiting}', '{key}')")
        plan = _plan(pro, merge)
        assert _nodes(plan) == set(cluster.workers)
        assert "pull to coordinator" not in plan
        assert ("Merge on" in plan) == (SPREAD[relation] == key)  # else it is sent to its shard
        assert _nodes(_plan(pro, "with" + delete.split("with", 1)[1])) == set(cluster.workers)


@pytest.mark.parametrize("mart", MARTS)
def test_marts_add_up_on_every_worker(built, cluster, mart):
    pro, _ = built
    plan = _plan(pro, f"select * from data_marts.{mart}")
    assert _nodes(plan) >= set(cluster.workers)
    for task in plan.split("->  Task\n")[1:]:
        if "transaction_fct" in task:
            assert re.search(r"(Hash|Group)?Aggregate", task)


def test_rows_lie_on_every_worker(built, cluster):
    pro, _ = built
    for relation in ("forex.customer_transactions", *SPREAD):
        where = pro.execute(
            "select nodename || ':' || nodeport, sum(shard_size) from citus_shards"
            " where table_name = %s::regclass group by 1",
            [relation],
        ).fetchall()
        sizes = dict(where)
        assert set(sizes) == set(cluster.workers), relation
        assert min(sizes.values()) > 0, relation
