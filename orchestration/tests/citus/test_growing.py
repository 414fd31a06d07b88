"""A worker more: `make rebalance` gives it its share, and nothing else changes."""

import subprocess
import sys

from orchestration.tests import support
from orchestration.tests.support import Dbt, contents
from orchestration.warehouse.settings import CHECKOUT


def _held(pro):
    """Shards by worker, without the copies of reference tables, which each node has."""
    query = (
        "select nodename || ':' || nodeport, count(*) from citus_shards"
        " where citus_table_type = 'distributed' group by 1"
    )
    return dict(pro.execute(query).fetchall())


def test_a_worker_without_shards_gets_its_share(cluster, spread_lake, tmp_path):
    records = [
        {"transaction_id": str(i), "customer_email": f"{i % 97}@example.com", "price": str(i)}
        for i in range(500)
    ]
    with cluster(), cluster.connect("pro") as pro:
        dbt = Dbt("pro", tmp_path)
        support.load(support.write_csv(tmp_path / "rows.csv", records))
        dbt("run", "--full-refresh")
        before = contents(pro, "", without=set())
        # A node that is added gets the reference tables of one group, so there is to be but one.
        groups = pro.execute(
            "select count(distinct colocationid) from pg_dist_partition"
            " where partmethod = 'n' and repmodel = 't'"
        ).fetchall()
        assert groups == [(1,)]
        host, _, port = cluster.workers[-1].rpartition(":")
        # As a node that was just added: it has no shard, and may have some.
        pro.execute("select citus_drain_node(%s, %s, 'block_writes')", [host, int(port)])
        pro.execute(
            "select citus_set_node_property(%s, %s, 'shouldhaveshards', true)", [host, int(port)]
        )
        assert cluster.workers[-1] not in _held(pro)
        told = subprocess.run(
            [sys.executable, "-m", "orchestration.warehouse.citus"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        held = _held(pro)
        assert set(held) == set(cluster.workers)
        assert min(held.values()) > sum(held.values()) / len(held) / 2
        assert f"pro: {cluster.workers[-1]} holds" in told
        assert contents(pro, "", without=set()) == before
        records[7]["price"] = "700"
        support.load(support.write_csv(tmp_path / "rows.csv", records))
        dbt("run")
        built = contents(pro, "")
        dbt("run", "--full-refresh")
        assert contents(pro, "") == built
