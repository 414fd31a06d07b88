"""The way of a log line into Elasticsearch, without either program: real lines, a stub at the end.

`filebeat.py` and `elasticsearch.py` beside this file say what they are, and are not.
"""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from orchestration.cluster import make_secrets
from orchestration.observability.logs import setup
from orchestration.tests.observability.elasticsearch import Elasticsearch, faults, mapped
from orchestration.tests.observability.filebeat import Filebeat
from orchestration.tests.support import Dbt
from orchestration.warehouse import scratch
from orchestration.warehouse.settings import CHECKOUT

LOGS = CHECKOUT / "orchestration/observability/logs"
TASK = (
    "/logs/airflow/dag_id=forex__customer_transactions__hourly"
    "/run_id=scheduled__2026-11-23T13:00:00+00:00/task_id=load"
)
MAPPING = json.loads((LOGS / "elasticsearch/template.json").read_text())["template"]["mappings"]


@pytest.fixture(scope="module")
def filebeat():
    return Filebeat(LOGS / "filebeat.yml")


def documents(filebeat: Filebeat, path: str, lines: list[str]) -> list[dict]:
    found = [filebeat.document(path, line)[1] for line in lines]
    assert found
    for document in found:
        assert not faults(MAPPING, document), document
        assert not {"line", "agent.id", "error"} & set(document), document
    return found


def recorded() -> list[str]:
    """Lines that a worker of Airflow 3.3.2 has written."""
    return Path(__file__).with_name("airflow_task.log").read_text().splitlines()


def test_a_task_s_line_says_where_it_comes_from(filebeat):
    found = documents(filebeat, f"{TASK}/map_index=4/attempt=2.log", recorded())
    assert found[1] == {
        "@timestamp": "2026-11-23T12:47:00.717Z",
        "message": "DAG bundles loaded: dags-folder",
        "event": {"dataset": "forex.airflow"},
        "log": {
            "level": "info",
            "logger": "airflow.dag_processing.bundles.manager.DagBundlesManager",
            "file": {"path": f"{TASK}/map_index=4/attempt=2.log"},
            "offset": 0,
        },
        "agent": {"type": "filebeat"},
        "airflow": {
            "dag_id": "forex__customer_transactions__hourly",
            "run_id": "scheduled__2026-11-23T13:00:00+00:00",
            "task_id": "load",
            "map_index": "4",
            "attempt": "2",
        },
    }
    # What is not in the line of a task's first moments is in its path.
    assert "dag_id" not in json.loads(recorded()[0])
    assert found[0]["airflow"] == found[1]["airflow"]


def test_a_task_that_is_not_mapped_has_no_index(filebeat):
    (found,) = documents(filebeat, f"{TASK}/attempt=1.log", recorded()[:1])
    assert found["airflow"]["attempt"] == "1"
    assert "map_index" not in found["airflow"]


def test_a_line_that_is_no_json_is_kept_as_it_is(filebeat):
    _, found = filebeat.document(f"{TASK}/attempt=1.log", "Segmentation fault")
    assert found["message"] == "Segmentation fault"
    assert found["error"]["type"] == "json"
    assert not faults(MAPPING, found)


def test_dbts_own_lines(filebeat, server, lake, tmp_path, monkeypatch):
    monkeypatch.setenv("DBT_LOG_FORMAT_FILE", "json")
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "info")
    Dbt("pro", tmp_path)("build", "--select", "bronze")
    lines = (tmp_path / "dbt.log").read_text().splitlines()
    found = documents(filebeat, "/logs/dbt/logs/dbt.log", lines)
    assert all(document["dbt"]["invocation_id"] for document in found)
    nodes = {document["dbt"].get("node") for document in found}
    assert "model.forex_warehouse.missing_quantity" in nodes
    assert {document["log"]["level"] for document in found} <= {"info", "warn"}
    assert all(document["@timestamp"] > "2026" for document in found)


def test_postgresqls_own_lines(filebeat):
    own = scratch.environment()
    own["WAREHOUSE_SERVER_OPTIONS"] += (
        " logging_collector=on log_destination=jsonlog log_directory=log log_timezone=UTC"
    )
    server = [sys.executable, "-m", "orchestration.warehouse.server"]
    subprocess.run([*server, "start"], env=own, check=True)
    try:
        login = {
            "host": "127.0.0.1",
            "port": own["WAREHOUSE_PORT"],
            "user": "postgres",
            "passfile": own["PGPASSFILE"],
        }
        with (
            psycopg.connect(**login, application_name="loader") as connection,
            pytest.raises(psycopg.errors.UndefinedTable),
        ):
            connection.execute("select * from gone")
    finally:
        subprocess.run([*server, "stop"], env=own, check=True)
    logs = Path(own["WAREHOUSE_FOLDER"]).rglob("log/*.json")
    lines = [line for file in logs for line in file.read_text().splitlines()]
    found = documents(filebeat, "/logs/postgres-dbt/postgresql-12.json", lines)
    (error,) = [document for document in found if document["log"]["level"] == "ERROR"]
    assert error["message"] == 'relation "gone" does not exist'
    assert error["postgres"]["statement"] == "select * from gone"
    assert error["postgres"]["state"] == "42P01"
    assert error["postgres"]["application"] == "loader"
    assert error["postgres"]["server"] == "postgres-dbt"


def test_nothing_else_in_the_volumes_is_read(filebeat):
    for path in ("/logs/dbt/target/manifest.json", "/logs/airflow/scheduler/latest/a.log"):
        assert not filebeat.reads(path)


# Accounts, template and views


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A stub that was set up as the cluster is."""
    make_secrets.make(tmp_path / "secrets")
    monkeypatch.setattr(setup, "SECRETS", tmp_path / "secrets")
    stub = Elasticsearch((tmp_path / "secrets/elastic_password").read_text())
    with stub.serving() as url:
        server = setup.Server(url, (tmp_path / "secrets/elastic_password").read_text())
        for _ in range(2):  # each start of the cluster does it again
            setup.elasticsearch(server)
            setup.kibana(server)
        yield stub, url, tmp_path / "secrets"


def bulk(url: str, user: str, password: str, index: str, document: dict) -> dict:
    body = f"{json.dumps({'create': {'_index': index}})}\n{json.dumps(document)}\n"
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    header = {"Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{url}/_bulk", body.encode(), header)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def test_the_writer_writes_logs_and_nothing_else(cluster, filebeat):
    stub, url, secrets = cluster
    output = json.loads((secrets / "filebeat_output.yml").read_text())["output.elasticsearch"]
    login = (output["username"], output["password"])
    for line in recorded():
        index, document = filebeat.document(f"{TASK}/attempt=1.log", line)
        assert not bulk(url, *login, index, document)["errors"]
    assert len(stub.documents["logs-forex.airflow-cluster"]) == len(recorded())
    assert bulk(url, *login, "logs-other-cluster", document)["items"][0]["create"]["status"] == 403
    document["airflow"]["attempt"] = "first"
    assert bulk(url, *login, index, document)["items"][0]["create"]["status"] == 400
    grants = {
        name for grant in stub.roles["forex_log_writer"]["indices"] for name in grant["privileges"]
    }
    assert grants == {"create_doc", "auto_configure"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        bulk(url, login[0], "wrong", index, document)


def test_logs_are_not_kept_for_ever(cluster):
    stub, _, _ = cluster
    template = stub.template("logs-forex.dbt-cluster")
    policy = stub.policies[template["template"]["settings"]["index.lifecycle.name"]]
    assert policy["phases"]["delete"]["min_age"] == "14d"
    assert "rollover" in policy["phases"]["hot"]["actions"]


def test_nobody_but_the_setup_is_elastic(cluster):
    stub, _, secrets = cluster
    kibana = json.loads((secrets / "kibana.yml").read_text())
    account = stub.users[kibana["elasticsearch.username"]]
    assert account["password"] == kibana["elasticsearch.password"]
    assert stub.users["operator"]["roles"] == ["viewer"]
    assert len({user["password"] for user in stub.users.values()}) == len(stub.users) == 4


def test_the_views_ask_for_fields_that_are_searched(cluster, filebeat):
    stub, _, _ = cluster
    lines = [line for line in stub.imported.splitlines() if line.startswith("{")]
    assert lines == (LOGS / "kibana.ndjson").read_text().splitlines()
    objects = {one["id"]: one for one in map(json.loads, lines)}
    view = objects["forex-logs"]["attributes"]
    assert mapped(MAPPING, view["timeFieldName"])
    template = json.loads((LOGS / "elasticsearch/template.json").read_text())
    assert view["title"] in template["index_patterns"]
    for one in objects.values():
        for reference in one["references"]:
            assert reference["id"] in objects
        for column in one["attributes"].get("columns", []):
            assert mapped(MAPPING, column), column
