"""The Citus cluster on a real engine, wherever its image is or can be pulled."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests.cluster.conftest import Cluster, running
from orchestration.tests.cluster.test_cluster import (  # with the fixture below
    SAMPLE,
    landed,
    test_no_port_is_open_beyond_this_machine,  # noqa: F401
    test_no_process_is_roots_and_no_file_system_is_written,  # noqa: F401
    test_wrong_passwords_are_refused,  # noqa: F401
)
from orchestration.tests.support import Dbt, contents, load
from orchestration.warehouse import scratch


class CitusCluster(Cluster):
    """The cluster with its warehouse spread over nodes."""

    lake = "pro"
    overlays = (
        "orchestration/docker-compose.citus.yml",
        ".cache/docker-compose.citus-workers.json",
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= {
            "COMPOSE_PROJECT_NAME": "forex-warehouse-test-citus",
            "CITUS": "1",
            "WORKERS": "3",
        }

    def held(self, kind: str) -> dict[str, set[str]]:
        """By node, the tables of a kind that have shards there."""
        found: dict[str, set[str]] = {}
        for node, table in self.rows(
            "pro",
            "select nodename, table_name::text from citus_shards where citus_table_type = %s",
            kind,
        ):
            found.setdefault(node, set()).add(table)
        return found


@pytest.fixture(scope="module")
def cluster():
    made = CitusCluster(Path(scratch.environment()["WAREHOUSE_FOLDER"]) / "citus")
    made.command("make", made.overlays[-1])
    services = json.loads(made.compose("config", "--format=json"))["services"]
    image = services["citus-worker"]["image"]
    for get in (["image", "inspect"], ["pull", "--quiet"]):
        if not subprocess.run(["docker", *get, image], capture_output=True).returncode:
            break
    else:
        pytest.skip(f"{image} is not here and cannot be pulled; CITUS_IMAGE names another image")
    with running(made):
        yield made


def dirty(prefix: str, count: int) -> list[dict[str, str]]:
    """Rows with ids of their own, of which some cannot be landed or cleaned."""
    rows = [dict(zip(COLUMNS, row, strict=False)) for row in transactions(count, defects=0.05)]
    return [
        row | {"transaction_id": row["transaction_id"] and f"{prefix}-{row['transaction_id']}"}
        for row in rows
    ]


def assert_same_as_one_server(cluster, server, folder) -> None:
    Dbt("pro", folder)("build", "--full-refresh")
    with (
        psycopg.connect(server("pro", "postgres")) as one,
        cluster.connect("pro", "postgres") as pro,
    ):
        assert contents(pro, "") == contents(one, "")


def test_files_become_the_marts_that_one_server_makes(cluster, server, lake, tmp_path):
    shutil.copy(SAMPLE, cluster.landing / "customer_transactions.csv")
    cluster.run()
    assert set(cluster.held("distributed")) == {f"citus-worker-{n}" for n in (1, 2, 3)}
    load(SAMPLE)
    assert_same_as_one_server(cluster, server, tmp_path)


def test_a_node_more_gets_its_share(cluster, server, lake, tmp_path):
    cluster.environment["WORKERS"] = "4"
    cluster.command("make", "up")
    cluster.command("make", "rebalance")
    assert len(cluster.held("distributed")) == 4
    copies = cluster.held("reference")
    assert copies["citus-worker-4"] == copies["citus-worker-1"]
    cluster.land("more.csv", dirty("more", 6000))
    cluster.run(rows_per_chunk=500)
    for file in ("customer_transactions.csv", "more.csv"):
        load(cluster.landing / file)
    assert_same_as_one_server(cluster, server, tmp_path)


def test_a_lost_node_costs_time_only(cluster):
    cluster.land("lost.csv", dirty("lost", 3000))
    read = sum(1 for _ in (cluster.landing / "lost.csv").open()) - 1
    (node,) = cluster.containers("citus-worker-2")
    cluster.command("docker", "kill", node)
    run = cluster.trigger()
    deadline = time.monotonic() + 120
    while not [task for task in cluster.tasks(run) if task["state"] == "up_for_retry"]:
        assert time.monotonic() < deadline, cluster.tasks(run)
        time.sleep(0.5)
    cluster.command("docker", "start", node)
    assert cluster.wait(run)["state"] == "success"
    assert landed(cluster, "lost.csv")[0] == read
    landing, silver = cluster.conservation()
    assert landing == silver


def test_down_and_up_again_keeps_everything(cluster):
    with cluster.connect("pro", "postgres") as pro:
        before = contents(pro, "", without=set())
    cluster.command("make", "down")
    cluster.command("make", "up")
    with cluster.connect("pro", "postgres") as pro:
        assert contents(pro, "", without=set()) == before
