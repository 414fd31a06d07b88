"""A worker on another machine, which here is a network of its own with one wire to this one."""

import os
import shutil
import time

import pytest

from orchestration.tests.cluster.test_cluster import landed, many

MAIN, WORKER = "10.213.77.1", "10.213.77.2"
WIRE = ("forexmain", "forexworker")
COMPOSE = "orchestration/docker-compose"


@pytest.fixture
def machine(cluster):
    """Let worker machines in, and start one that has nothing of the cluster's networks."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nsenter"):
        pytest.skip("making a network needs root, iproute2 and util-linux")
    staging = cluster.command(
        *("docker", "volume", "inspect", "--format", "{{.Mountpoint}}"),
        f"{cluster.environment['COMPOSE_PROJECT_NAME']}_staging",
    ).strip()
    main = cluster.environment | {"PRIVATE_ADDRESS": MAIN, "WORKERS": "1"}
    worker = cluster.environment | {
        "COMPOSE_PROJECT_NAME": "forex-warehouse-test-machine",
        "MAIN_ADDRESS": MAIN,
        "WORKER_ADDRESS": WORKER,
        "WORKER_NETWORK_MODE": "none",
        "STAGING_FOLDER": staging,  # as if exported to the other machine
    }
    own = cluster.environment
    exposed = ["docker", "compose", "-f", f"{COMPOSE}.yml", "-f", f"{COMPOSE}.expose.yml"]
    remote = ["docker", "compose", "-f", f"{COMPOSE}.worker.yml"]
    ip = ("ip", "link")
    cluster.command(*ip, "del", WIRE[0], check=False)
    cluster.command(*ip, "add", WIRE[0], "type", "veth", "peer", "name", WIRE[1])
    try:
        cluster.command("ip", "addr", "add", f"{MAIN}/24", "dev", WIRE[0])
        cluster.command(*ip, "set", WIRE[0], "up")
        cluster.environment = main
        cluster.command(*exposed, "up", "--detach", "--wait")
        cluster.environment = worker
        cluster.command(*remote, "up", "--detach")
        container = cluster.command(*remote, "ps", "--quiet").strip()
        pid = str(cluster.inspect(container)["State"]["Pid"])
        cluster.command(*ip, "set", WIRE[1], "netns", pid)
        inside = ("nsenter", "--net", "--target", pid, "ip")
        cluster.command(*inside, "addr", "add", f"{WORKER}/24", "dev", WIRE[1])
        cluster.command(*inside, "link", "set", WIRE[1], "up")
        deadline = time.monotonic() + 90
        while cluster.inspect(container)["State"]["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, cluster.command(*remote, "logs")
            time.sleep(1)
        cluster.environment = own
        yield
    finally:
        cluster.environment = worker
        cluster.command(*remote, "down", "--volumes", check=False)
        cluster.environment = own
        cluster.command(*ip, "del", WIRE[0], check=False)
        cluster.compose("up", "--detach", "--wait")


def test_a_worker_machine_takes_its_share(cluster, machine):
    cluster.land("machine.csv", many("machine", 6000))
    run = cluster.run(rows_per_chunk=500)
    assert landed(cluster, "machine.csv") == (6000, 6000, 0)
    there = [task for task in cluster.tasks(run, "load") if task["hostname"] == WORKER]
    assert 0 < len(there) < 12
    # Its log comes from there.
    log = cluster.airflow(
        "GET",
        f"/dags/{there[0]['dag_id']}/dagRuns/{run}/taskInstances/load/logs/1"
        f"?full_content=true&map_index={there[0]['map_index']}",
    )
    assert "Done. Returned value was" in str(log), log
