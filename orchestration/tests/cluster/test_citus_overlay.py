"""The Compose files of the Citus cluster, as Compose itself reads them; nothing is started."""

import json
import subprocess
import sys

import pytest

from orchestration.cluster.citus_workers import overlay
from orchestration.warehouse.settings import CHECKOUT

FOLDER = CHECKOUT / "orchestration"


@pytest.fixture
def services(tmp_path):
    workers = tmp_path / "workers.json"
    workers.write_text(json.dumps(overlay(3)))
    files = (FOLDER / "docker-compose.yml", FOLDER / "docker-compose.citus.yml", workers)
    read = subprocess.run(
        ["docker", "compose", *(f"--file={file}" for file in files), "config", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(read.stdout)["services"]


def test_each_node_has_a_volume_of_its_own(services):
    names = ["postgres-dbt", "citus-worker-1", "citus-worker-2", "citus-worker-3"]
    # The home of `postgres`, which the images have: a volume on a folder they lack is root's.
    volumes = {
        volume["source"]
        for name in names
        for volume in services[name]["volumes"]
        if volume["target"] == "/var/lib/postgresql"
        and services[name]["environment"]["PGDATA"].startswith(volume["target"] + "/")
    }
    assert len(volumes) == len(names)
    assert "postgres-dbt" not in volumes  # the single server's
    assert services["citus-worker"]["deploy"]["replicas"] == 0


def test_nodes_are_as_closed_as_the_single_server(services):
    for number in (1, 2, 3):
        node = services[f"citus-worker-{number}"]
        assert node["read_only"] and node["cap_drop"] == ["ALL"] and node["user"] == "postgres"
        assert "ports" not in node
        assert list(node["networks"]) == ["warehouse"]
        assert [secret["source"] for secret in node["secrets"]] == ["postgres_dbt_password"]


def test_two_processors_are_enough(services):
    """An engine refuses a container that may use more than there are."""
    assert max(service.get("cpus", 0) for service in services.values()) == 2


def test_runs_are_due_by_the_clock_unless_told_otherwise(services):
    environment = services["scheduler"]["environment"]
    assert environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "true"


def test_who_needs_the_workers_is_told(services):
    told = "citus-worker-1:5432,citus-worker-2:5432,citus-worker-3:5432"
    for name in ("provision", "dbt", "worker"):
        assert services[name]["environment"]["WAREHOUSE_WORKERS"] == told
    assert {f"citus-worker-{number}" for number in (1, 2, 3)} < set(
        services["provision"]["depends_on"]
    )


@pytest.mark.parametrize("wrong", [[], ["0"], ["many"]])
def test_a_wrong_number_is_one_line(wrong):
    command = [sys.executable, "-m", "orchestration.cluster.citus_workers", *wrong]
    refused = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "error: say how many worker nodes, at least 1\n"
