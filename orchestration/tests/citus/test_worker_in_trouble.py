"""A worker that lags, or goes away: nothing is lost, and what fails says so."""

import os
import subprocess
import threading
import time

import psycopg
import pytest

from orchestration.tests import support
from orchestration.tests.support import Dbt, contents, insert_row

GID = "citus_0_4711_1_1"


@pytest.fixture(scope="module")
def dbt(cluster, tmp_path_factory):
    with cluster():
        return Dbt("pro", tmp_path_factory.mktemp("dbt"))


def _ids(cluster):
    with cluster.connect("pro") as pro:
        query = "select source_transaction_id from gold.transaction_fct order by 1"
        return [name for (name,) in pro.execute(query)]


def test_a_commit_that_reaches_its_worker_late(cluster, spread_lake, dbt):
    """The coordinator has committed, the worker has not: the build waits, then sees the row.

    Made by hand, as Citus makes it: a record in the coordinator's pg_dist_transaction, and a
    prepared transaction on the worker, which recovery then commits.
    """
    with cluster():
        dbt("run", "--full-refresh")
    insert_row(spread_lake, "twin")
    (xid,) = spread_lake.execute("select load_xid from forex.customer_transactions").fetchone()
    shard, group, host, port = spread_lake.execute(
        "select shard_name, groupid, nodename, nodeport"
        " from citus_shards inner join pg_dist_node using (nodename, nodeport)"
        " where table_name = 'forex.customer_transactions'::regclass and shardid ="
        " get_shard_id_for_distribution_column('forex.customer_transactions', 'late')"
    ).fetchone()
    with cluster.connect("data_lake", node=f"{host}:{port}") as worker:
        worker.execute("begin")
        insert_row(worker, "late", table=shard, load_xid=xid, customer_first_name="Late")
        worker.execute(f"prepare transaction '{GID}'")
    spread_lake.execute("insert into pg_dist_transaction values (%s, %s)", [group, GID])
    building = threading.Thread(target=lambda: dbt("run"))
    with cluster():
        building.start()
        time.sleep(8)
        waits = building.is_alive()
        spread_lake.execute("select recover_prepared_transactions()")
        building.join()
    assert waits
    assert _ids(cluster) == ["late", "twin"]


@pytest.mark.skipif(
    "CITUS_RESTART" not in os.environ,
    reason="CITUS_RESTART is not set: the command that restarts, at once, a worker",
)
def test_a_worker_restarted_in_the_middle_of_a_build(cluster, spread_lake, dbt, tmp_path):
    with cluster():
        dbt("run", "--full-refresh")
        failures = []
        for number, delay in enumerate((0.5, 1.5, 2.5, 3.5)):
            records = [
                {"transaction_id": str(i), "customer_first_name": f"Ada {number} {i}"}
                for i in range(300)
            ]
            support.load(support.write_csv(tmp_path / "rows.csv", records))
            restart = threading.Timer(
                delay, subprocess.run, [os.environ["CITUS_RESTART"]], {"shell": True, "check": True}
            )
            restart.start()
            try:
                dbt("run")
            except AssertionError as failed:
                failures.append(str(failed))
            restart.join()
            _wait_for(cluster)
        assert failures, "each build went through: restart a worker that builds use"
        for failure in failures:
            assert "127.0.0.1" in failure or "connection" in failure, failure
        dbt("run")
        with cluster.connect("pro") as pro:
            mended = contents(pro, "")
            dbt("run", "--full-refresh")
            assert contents(pro, "") == mended
    assert len(mended["transaction_fct"]) == 300


def _wait_for(cluster, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            for node in cluster.workers:
                cluster.connect("pro", node=node).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
