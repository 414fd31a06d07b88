"""`make up OBSERVE=metrics` on a real engine: what is watched is seen, asked and told."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable

import psycopg
import pytest

from orchestration.tests.cluster.conftest import HOURLY

# Run again, now with the overlay's containers.
from orchestration.tests.cluster.test_cluster import (  # noqa: F401
    many,
    test_airflows_database_and_dbts_do_not_meet,
    test_no_port_is_open_beyond_this_machine,
    test_no_process_is_roots_and_no_file_system_is_written,
    test_no_secret_is_shown,
)
from orchestration.tests.observability.elasticsearch import faults
from orchestration.tests.observability.filebeat import Filebeat
from orchestration.tests.observability.test_logs import LOGS, MAPPING
from orchestration.warehouse.settings import CHECKOUT

pytestmark = pytest.mark.usefixtures("prometheus")
NIGHTLY = "forex__warehouse__nightly"
DASHBOARDS = CHECKOUT / "orchestration/observability/grafana/dashboards"
SCRAPE_SECONDS = 10


def wait_for(what: Callable[[], object], seconds: float):
    """Ask until the answer is something; the test fails when time is up."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, what.__name__
        time.sleep(1)
    return found


class Prometheus:
    """The running Prometheus and Alertmanager, asked over HTTP."""

    def __init__(self, cluster) -> None:
        self.ports = {
            name: cluster.environment[f"{name.upper()}_PORT"]
            for name in ("prometheus", "alertmanager")
        }

    def get(self, path: str, server: str = "prometheus", **parameters: str):
        url = f"http://127.0.0.1:{self.ports[server]}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def ask(self, query: str) -> list[dict]:
        return self.get("/api/v1/query", query=query)["data"]["result"]

    def value(self, query: str) -> float:
        """The sum of what a query gives."""
        return sum(float(series["value"][1]) for series in self.ask(query))

    def numbers(self, query: str) -> list[float]:
        found = [float(series["value"][1]) for series in self.ask(query)]
        return [number for number in found if number == number]  # not NaN

    def firing(self, alert: str) -> list[dict]:
        found = self.get("/api/v2/alerts", "alertmanager", filter=f"alertname={alert}")
        return [one for one in found if one["status"]["state"] == "active"]


def with_logs(*arguments: str) -> list[str]:
    """Compose's command for `OBSERVE=all`, without Grafana."""
    files = ("docker-compose.yml", "observability/metrics.yml", "observability/logs.yml")
    return [
        "docker",
        "compose",
        *(o for f in files for o in ("-f", f"orchestration/{f}")),
        *arguments,
    ]


@pytest.fixture(scope="module")
def prometheus(cluster):
    cluster.timed("make up OBSERVE=metrics", "make", "up", "OBSERVE=metrics")
    # What `OBSERVE=all` changes in the cluster itself; Elastic's images cannot be had everywhere.
    cluster.command(*with_logs("up", "--detach", "--wait", "--no-deps", "postgres-dbt", "dbt"))
    return Prometheus(cluster)


def test_every_target_is_up(cluster, prometheus):
    def all_up():
        targets = prometheus.get("/api/v1/targets")["data"]["activeTargets"]
        found = {target["scrapeUrl"]: target["lastError"] for target in targets}
        return len(found) == 8 and not any(found.values()) and prometheus.value("sum(up)") == 8

    wait_for(all_up, 60)
    stats = cluster.command(
        "docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"
    ).splitlines()
    print("\n".join(line.split(" / ")[0] for line in stats))


def test_a_run_is_seen_within_two_scrapes(cluster, prometheus):
    wait_for(lambda: prometheus.value("forex:workers_alive:count") == 3, 60)
    landed = 'forex_load_rows_total{outcome="%s"}'
    before = {o: prometheus.value(landed % o) for o in ("inserted", "rejected")}
    runs = f'airflow_dagrun_seconds_count{{dag_id="{HOURLY}", state="success"}}'
    runs_before = prometheus.value(runs)
    records = many("seen", 40)
    records[7]["transaction_id"] = ""  # cannot be landed
    records[8]["transaction_date"] = "soon"  # cannot be cleaned
    cluster.land("seen.csv", records)
    started = time.time()
    cluster.run()
    ended = time.monotonic()

    def seen():
        return (
            prometheus.value(landed % "inserted") - before["inserted"] == 39
            and prometheus.value(landed % "rejected") - before["rejected"] == 1
            and prometheus.value(runs) == runs_before + 1
            and prometheus.value("forex_dbt_last_success_timestamp_seconds") > started
            and prometheus.value("forex_lake_to_gold_lag_seconds") == 0
        )

    wait_for(seen, 2 * SCRAPE_SECONDS + 5)
    cluster.took["from a run's end to its figures"] = round(time.monotonic() - ended, 1)


def queries() -> list[tuple[str, dict]]:
    return [
        (f"{file.stem}: {panel['title']}", target)
        for file in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def test_a_lost_worker_is_told(cluster, prometheus):
    victim = next(iter(cluster.workers().values()))
    cluster.command("docker", "kill", victim)
    started = time.monotonic()
    cluster.run()  # goes on without it; each histogram of a task gets a second sample
    (alert,) = wait_for(lambda: prometheus.firing("WorkerLost"), 120)
    cluster.took["from a worker's death to the alert"] = round(time.monotonic() - started, 1)
    assert alert["annotations"]["summary"] == "Workers that are gone: 1"
    cluster.command("docker", "start", victim)


def test_every_panel_has_data(cluster, prometheus):
    if not prometheus.ask("forex_source_stale"):
        cluster.run(NIGHTLY)  # looks whether the source is fresh

    def empty():
        return [
            title
            for title, target in queries()
            if "expr" in target
            and not prometheus.numbers(
                target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
            )
        ]

    deadline = time.monotonic() + 60
    while missing := empty():
        assert time.monotonic() < deadline, missing
        time.sleep(2)
    with cluster.connect("pro", "dashboard") as pro:
        for title, target in queries():
            if "rawSql" in target:
                rows = pro.execute(target["rawSql"]).fetchall()
                assert rows, title
                assert all(value is not None for row in rows for value in row), title


def test_its_return_is_told_too_and_nothing_else_fires(prometheus):
    wait_for(lambda: prometheus.value("forex:workers_alive:count") == 3, 60)

    def states():
        groups = prometheus.get("/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        # How full the disk of this machine is says nothing about the rules.
        return {r["name"] for r in rules if r.get("state", "inactive") != "inactive"} - {
            "DiskAlmostFull"
        }

    wait_for(lambda: not states(), 60)


def test_monitors_may_not_look_at_data(cluster, prometheus):
    with cluster.connect("data_lake", "monitor") as lake, pytest.raises(psycopg.Error):
        lake.execute("select * from forex.customer_transactions")
    (container,) = cluster.containers("postgres-airflow")
    (network,) = cluster.inspect(container)["NetworkSettings"]["Networks"].values()
    password = cluster.secret("airflow_monitor_password")
    login = {"host": network["IPAddress"], "user": "monitor", "password": password}
    with psycopg.connect(dbname="airflow", **login) as airflow, pytest.raises(psycopg.Error):
        airflow.execute("select conf from dag_run")
    refused = cluster.compose(
        *("exec", "-T", "redis", "sh", "-c"),
        "REDISCLI_AUTH=$(cat /run/secrets/redis_password)"
        " redis-cli acl dryrun monitor lrange default 0 1",
    )
    assert "no permissions" in refused


def test_the_logs_are_json_and_filebeat_may_read_them(cluster):
    with cluster.connect("pro", "dbt_pro") as pro, pytest.raises(psycopg.Error):
        pro.execute("select * from gone")
    service = json.loads(cluster.command(*with_logs("config", "--format", "json")))["services"]
    filebeat = service["filebeat"]
    project = cluster.environment["COMPOSE_PROJECT_NAME"]
    mounts = [
        f"--volume={project}_{volume['source']}:{volume['target']}:ro"
        for volume in filebeat["volumes"]
        if volume["target"].startswith("/logs/") and "postgres-airflow" not in volume["target"]
    ]
    listing = (
        "find /logs -name '*.log*' -o -name '*.json' | while read -r f;"
        ' do printf "\\nFILE %s\\n" "$f"; cat "$f"; done'
    )
    read = cluster.command(
        *("docker", "run", "--rm", "--network=none", f"--user={filebeat['user']}", *mounts),
        *(f"--group-add={group}" for group in filebeat["group_add"]),
        *("--entrypoint=sh", "forex-warehouse/dbt:local", "-c", listing),
    )
    reader, path = Filebeat(LOGS / "filebeat.yml"), ""
    found: dict[str, list[dict]] = {}
    for line in read.splitlines():
        if line.startswith("FILE "):
            path = line.removeprefix("FILE ")
        elif line and reader.reads(path):
            index, document = reader.document(path, line)
            assert not faults(MAPPING, document), document
            found.setdefault(index, []).append(document)
    airflow, dbt, postgres = (
        found[f"logs-forex.{name}-cluster"] for name in ("airflow", "dbt", "postgres")
    )
    assert not [document for document in airflow + postgres if "error" in document]
    assert {document["airflow"]["task_id"] for document in airflow} >= {"plan", "load", "build"}
    assert "model.forex_warehouse.transaction" in {d.get("dbt", {}).get("node") for d in dbt}
    (told,) = [document for document in postgres if "gone" in document["message"]]
    assert (told["postgres"]["user"], told["log"]["level"]) == ("dbt_pro", "ERROR")
