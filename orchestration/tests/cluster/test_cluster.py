"""The cluster on a real engine: what an operator does, what may break, who may come in."""

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psycopg
import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.tests.cluster.conftest import HOURLY
from orchestration.tests.support import Dbt, contents, load
from orchestration.warehouse.settings import CHECKOUT

REFERENCE = CHECKOUT.parent / "shared/data/customer_transactions.csv"
SAMPLE = CHECKOUT / "orchestration/sample/customer_transactions.csv"
NIGHTLY = "forex__warehouse__nightly"
FIGURES = {
    "silver.transaction": 100,
    "gold.customer_dim": 100,
    "gold.location_dim": 90,
    "gold.product_dim": 5,
    "bronze.missing_quantity": 16,
}


def many(prefix: str, count: int) -> list[dict[str, str]]:
    """Rows whose ids and natural keys are their own."""
    found = []
    for n, row in enumerate(transactions(count)):
        own = {"transaction_id": f"{prefix}-{n}", "customer_email": f"{prefix}{n}@example.com"}
        found.append(dict(zip(COLUMNS, row, strict=True)) | own)
    return found


@contextmanager
def writers_held(cluster):
    """Keep the lake's tables from being written, so that loads stop in the middle."""
    admin = cluster.connect("data_lake", "postgres")
    try:
        admin.autocommit = False
        admin.execute("lock table forex.customer_transactions in exclusive mode")
        yield admin
    finally:
        admin.close()  # the server may be gone


def wait_for_merges(cluster, count: int) -> None:
    deadline = time.monotonic() + 90
    while True:
        ((waiting,),) = cluster.rows(
            "data_lake",
            "select count(*) from pg_stat_activity"
            " where usename = 'loader' and wait_event_type = 'Lock'",
        )
        if waiting >= count:
            return
        assert time.monotonic() < deadline, f"{waiting} merges wait"
        time.sleep(0.5)


def landed(cluster, name: str) -> tuple:
    (found,) = cluster.rows(
        cluster.lake,
        "select rows_read, rows_inserted, rows_rejected from forex.load_ledger"
        " where source_file = %s and finished_at is not null",
        name,
    )
    return found


def test_a_file_becomes_the_marts_that_a_laptop_makes(cluster, server, lake, tmp_path):
    source = REFERENCE if REFERENCE.exists() else SAMPLE
    shutil.copy(source, cluster.landing / "customer_transactions.csv")
    started = time.monotonic()
    run = cluster.run()
    cluster.took["first run"] = round(time.monotonic() - started, 1)

    load(source)
    Dbt("pro", tmp_path)("build", "--full-refresh")
    with (
        psycopg.connect(server("pro", "postgres")) as laptop,
        cluster.connect("pro", "postgres") as pro,
    ):
        assert contents(pro, "") == contents(laptop, "")
    if source == REFERENCE:
        for relation, count in FIGURES.items():
            assert cluster.rows("pro", f"select count(*) from {relation}") == [(count,)]
        ((revenue,),) = cluster.rows("pro", "select sum(revenue) from data_marts.agg_sales_country")
        assert str(revenue.normalize()) == "46411.29"
    note = cluster.state(run)["note"] or ""
    assert "Built in pro" in note


def test_chunks_are_spread_over_three_workers(cluster):
    cluster.land("spread.csv", many("spread", 6000))
    started = time.monotonic()
    run = cluster.run(rows_per_chunk=500)
    cluster.took["run with 12 chunks"] = round(time.monotonic() - started, 1)
    tasks = cluster.tasks(run, "load")
    assert len(tasks) == 12
    assert len({task["hostname"] for task in tasks}) == 3
    assert {task["rendered_map_index"] for task in tasks} == {
        f"chunk {number} of 12" for number in range(1, 13)
    }
    assert landed(cluster, "spread.csv") == (6000, 6000, 0)


def test_a_killed_worker_costs_time_only(cluster):
    cluster.land("killed.csv", many("killed", 6000))
    with writers_held(cluster) as admin:
        run = cluster.trigger(rows_per_chunk=500)
        wait_for_merges(cluster, 4)
        workers = cluster.workers()
        busy = [task for task in cluster.tasks(run, "load") if task["state"] == "running"]
        victim = busy[0]["hostname"]
        lost = {task["map_index"] for task in busy if task["hostname"] == victim}
        cluster.command("docker", "kill", workers[victim])
        admin.rollback()
    started = time.monotonic()
    assert cluster.wait(run)["state"] == "success"
    cluster.took["from a worker's death to success"] = round(time.monotonic() - started, 1)
    again = {t["map_index"]: t for t in cluster.tasks(run, "load") if t["map_index"] in lost}
    assert lost
    assert all(task["try_number"] > 1 and task["hostname"] != victim for task in again.values())
    assert landed(cluster, "killed.csv") == (6000, 6000, 0)
    lake, silver = cluster.conservation()
    assert lake == silver
    cluster.compose("up", "--detach", "--wait", "worker")


@pytest.mark.parametrize("service", ["redis", "postgres-dbt"])
def test_a_restart_in_the_middle_of_a_run(cluster, service):
    name = f"restart-{service}"
    cluster.land(f"{name}.csv", many(name, 6000))
    with writers_held(cluster) as admin:
        run = cluster.trigger(rows_per_chunk=500)
        wait_for_merges(cluster, 4)
        cluster.compose("restart", service)
        if service == "redis":
            admin.rollback()
    started = time.monotonic()
    state = cluster.wait(run)["state"]
    cluster.took[f"from a restart of {service} to {state}"] = round(time.monotonic() - started, 1)
    if state == "failed":  # clearly, and the next run succeeds
        assert [task for task in cluster.tasks(run) if task["state"] == "failed"]
        cluster.run()
    assert landed(cluster, f"{name}.csv") == (6000, 6000, 0)
    lake, silver = cluster.conservation()
    assert lake == silver


def test_the_night_publishes_the_manifest(cluster):
    cluster.run(NIGHTLY)
    listed = cluster.compose("exec", "-T", "dbt", "ls", "/srv/published").split()
    state = {"manifest.json", "dbt_project.yml", "landing.sql"}
    assert state | {"static_index.html", "report.html"} <= set(listed)


def test_the_documentation_is_shown_to_those_who_may_see_it(cluster):
    page = f"http://127.0.0.1:{cluster.port}/warehouse/static_index.html"

    def get(**headers: str) -> str:
        request = urllib.request.Request(page, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of this machine
            return answer.read().decode()

    admin = cluster.log_in()
    assert "model.forex_warehouse.agg_sales_country" in get(Authorization=f"Bearer {admin}")
    assert "model.forex_warehouse.agg_sales_country" in get(Cookie=f"_token={admin}")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get()
    login = {"username": "reporter", "password": cluster.secret("airflow_reporter_password")}
    reporter = cluster.call("POST", "/auth/token", login)["access_token"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(Authorization=f"Bearer {reporter}")
    kept = cluster.compose("exec", "-T", "api-server", "touch", "/srv/published/x", check=False)
    assert "x" not in cluster.compose("exec", "-T", "dbt", "ls", "/srv/published").split(), kept


def test_a_failed_model_is_named_in_airflow(cluster):
    with cluster.connect("pro", "postgres") as admin:
        admin.execute("alter table gold.product_dim owner to postgres")
        try:
            run = cluster.trigger()
            deadline = time.monotonic() + 120
            while not [t for t in cluster.tasks(run, "build") if t["state"] == "up_for_retry"]:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        finally:
            admin.execute("alter table gold.product_dim owner to dbt_pro")
    text = cluster.call(
        "GET",
        f"/api/v2/dags/{HOURLY}/dagRuns/{run}/taskInstances/build/logs/1?full_content=true",
        token=cluster.log_in(),
    )
    assert "failed in" in str(text)
    assert "product_dim" in str(text)
    # Tried again, it succeeds: nothing but the error was in its way.
    assert cluster.wait(run)["state"] == "success"


# Who may come in


def test_wrong_passwords_are_refused(cluster):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        cluster.connect("pro", "dbt_pro", "wrong")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        cluster.call("POST", "/auth/token", {"username": "admin", "password": "wrong"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        cluster.call("GET", "/api/v2/dags")
    assert "NOAUTH" in cluster.compose("exec", "-T", "redis", "redis-cli", "ping", check=False)


def test_dbt_cannot_write_the_lake(cluster):
    with cluster.connect("pro", "dbt_pro") as pro, pytest.raises(psycopg.Error):
        pro.execute("delete from data_lake.customer_transactions")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        cluster.connect("data_lake", "dbt_pro")


def test_no_port_is_open_beyond_this_machine(cluster):
    published = []
    for container in cluster.containers():
        for bindings in cluster.inspect(container)["NetworkSettings"]["Ports"].values():
            published += [binding["HostIp"] for binding in bindings or []]
    assert published
    assert set(published) == {"127.0.0.1"}


def test_airflows_database_and_dbts_do_not_meet(cluster):
    def networks(service):
        (container, *_) = cluster.containers(service)
        return set(cluster.inspect(container)["NetworkSettings"]["Networks"])

    assert not networks("postgres-airflow") & networks("postgres-dbt")
    assert not networks("postgres-airflow") & networks("dbt")
    assert not networks("postgres-airflow") & networks("worker")


def test_no_process_is_roots_and_no_file_system_is_written(cluster):
    for container in cluster.compose("ps", "--quiet").split():
        listed = cluster.command("docker", "top", container, "-eo", "pid,uid").splitlines()[1:]
        assert listed
        users = {line.split()[1] for line in listed}
        assert "0" not in users, cluster.inspect(container)["Name"]
        settings = cluster.inspect(container)["HostConfig"]
        assert settings["ReadonlyRootfs"]
        assert settings["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in settings["SecurityOpt"]
        assert settings["Memory"] > 0


def secret_values(cluster) -> dict[str, str]:
    whole = {file.name: file.read_text() for file in cluster.secrets.iterdir()}
    values = {
        name: text for name, text in whole.items() if name.endswith(("password", "secret", "key"))
    }
    assert len(values) > 8
    for key in ("ssh_client_key", "ssh_host_key"):
        values[key] = whole[key].splitlines()[2]  # some of the key itself
    return values


def test_no_secret_is_shown(cluster):
    shown = {"config": cluster.compose("config"), "logs": cluster.compose("logs", "--no-color")}
    for container in cluster.containers():
        shown[f"inspect {container}"] = cluster.command("docker", "inspect", container)
        shown[f"processes {container}"] = cluster.command(
            "docker", "top", container, "-eo", "pid,args", check=False
        )
    shown["task logs"] = cluster.compose(
        "exec", "-T", "scheduler", "sh", "-c", "find /var/log/airflow -type f -exec cat {} +"
    )
    for name, value in secret_values(cluster).items():
        for where, text in shown.items():
            assert value not in text, f"{name} is in {where}"


@pytest.mark.parametrize("image", ["airflow", "dbt"])
def test_no_secret_is_in_an_image(cluster, image, tmp_path):
    patterns = tmp_path / "patterns"
    patterns.write_text("\n".join(secret_values(cluster).values()))
    name = f"forex-warehouse/{image}:local"
    # The files as they are now, and every layer: some engines keep layers compressed.
    made = cluster.command("docker", "create", name).strip()
    for command in (["docker", "export", made], ["docker", "save", name]):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as saved:
            found = subprocess.run(
                ["grep", "--text", "--count", "--fixed-strings", "--file", str(patterns)],
                stdin=saved.stdout,
                capture_output=True,
                text=True,
            )
        assert saved.returncode == 0
        assert found.stdout.strip() == "0"
    cluster.command("docker", "rm", made)
    history = cluster.command("docker", "history", "--no-trunc", name)
    assert not [secret for secret in secret_values(cluster).values() if secret in history]
    keys = cluster.command(
        *("docker", "run", "--rm", "--network", "none", "--entrypoint", "sh"),
        *(f"forex-warehouse/{image}:local", "-c", "ls /etc/ssh/ssh_host_* 2>/dev/null || true"),
    )
    assert keys == ""


def test_rotation_changes_every_secret_and_the_cluster_goes_on(cluster):
    before = secret_values(cluster)
    cluster.timed("make rotate", "make", "rotate")
    after = secret_values(cluster)
    assert not set(before.values()) & set(after.values())
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        cluster.connect("pro", "dbt_pro", before["dbt_pro_password"])
    cluster.run()


def test_down_and_up_again_keeps_everything(cluster):
    before = cluster.conservation()
    cluster.timed("make down", "make", "down")
    cluster.timed("make up, again", "make", "up")
    assert cluster.conservation() == before
    memory = [
        line.split("/")[0].strip()
        for line in cluster.command("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}")
        .strip()
        .splitlines()
    ]
    print("\nmemory of each container:", ", ".join(memory))
