"""A cluster of its own beside whatever else the engine runs; `make test-cluster` asks for it."""

import csv
import json
import os
import secrets
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orchestration.warehouse import scratch
from orchestration.warehouse.settings import CHECKOUT

if not os.environ.get("CLUSTER_TESTS"):
    collect_ignore_glob = ["test_*.py"]

HOURLY = "forex__customer_transactions__hourly"
RUN_SECONDS = 240


class Cluster:
    """The running cluster, as an operator sees it."""

    lake = "data_lake"  # the database that has the schema `forex`
    overlays: tuple[str, ...] = ()  # what is laid over docker-compose.yml

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.secrets = folder / "secrets"
        self.port = scratch.free_port()
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "WAREHOUSE_", "DBT_", "PG"))
        }
        self.environment = clean | {
            "COMPOSE_PROJECT_NAME": "forex-warehouse-test",
            "SECRETS_FOLDER": str(self.secrets),
            "LANDING_FOLDER": str(self.landing),
            "AIRFLOW_PORT": str(self.port),
            "TASK_HEARTBEAT_TIMEOUT": "15",
            # A run at the full hour would take the file that a test has just landed.
            "RUN_ON_SCHEDULE": "false",
            "PROMETHEUS_PORT": str(scratch.free_port()),
            "ALERTMANAGER_PORT": str(scratch.free_port()),
        }
        self.took: dict[str, float] = {}

    def command(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def timed(self, name: str, *command: str) -> str:
        started = time.monotonic()
        output = self.command(*command)
        self.took[name] = round(time.monotonic() - started, 1)
        return output

    def compose(self, *arguments: str, check: bool = True) -> str:
        files = ("orchestration/docker-compose.yml", *self.overlays)
        named = [f"--file={file}" for file in files]
        return self.command("docker", "compose", *named, *arguments, check=check)

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", *services).split()

    def inspect(self, container: str) -> dict:
        return json.loads(self.command("docker", "inspect", container))[0]

    def workers(self) -> dict[str, str]:
        """Running workers: host name, container."""
        return {
            self.inspect(container)["Config"]["Hostname"]: container
            for container in self.compose("ps", "--quiet", "worker").split()
        }

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text()

    def connect(self, database: str, role: str, password: str | None = None) -> psycopg.Connection:
        """Log in to the warehouse; from this machine, as the engine's networks are here too."""
        (container,) = self.containers("postgres-dbt")
        networks = self.inspect(container)["NetworkSettings"]["Networks"]
        address = next(
            n["IPAddress"] for name, n in networks.items() if "warehouse" in name.split("_")
        )
        secret = "postgres_dbt_password" if role == "postgres" else f"{role}_password"
        return psycopg.connect(
            host=address,
            dbname=database,
            user=role,
            password=password or self.secret(secret),
            autocommit=True,
            connect_timeout=5,
        )

    def rows(self, database: str, query: str, *values: object) -> list[tuple]:
        with self.connect(database, "postgres") as connection:
            return connection.execute(query, values).fetchall()

    # Airflow's public interface

    def call(self, method: str, path: str, body: dict | None = None, token: str = "") -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of this machine
            return json.load(answer)

    def log_in(self) -> str:
        login = {"username": "admin", "password": self.secret("airflow_admin_password")}
        return self.call("POST", "/auth/token", login)["access_token"]

    def airflow(self, method: str, path: str, body: dict | None = None) -> dict:
        return self.call(method, f"/api/v2{path}", body, self.log_in())

    def trigger(self, dag: str = HOURLY, **conf: object) -> str:
        run = {"logical_date": None, "conf": conf, "dag_run_id": f"test-{secrets.token_hex(4)}"}
        return self.airflow("POST", f"/dags/{dag}/dagRuns", run)["dag_run_id"]

    def state(self, run: str, dag: str = HOURLY) -> dict:
        return self.airflow("GET", f"/dags/{dag}/dagRuns/{run}")

    def tasks(self, run: str, task: str = "", dag: str = HOURLY) -> list[dict]:
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances?limit=200"
        found = self.airflow("GET", path)["task_instances"]
        return [instance for instance in found if task in ("", instance["task_id"])]

    def wait(self, run: str, dag: str = HOURLY, seconds: float = RUN_SECONDS) -> dict:
        """Wait for the end of a run."""
        deadline = time.monotonic() + seconds
        while (found := self.state(run, dag))["state"] not in ("success", "failed"):
            assert time.monotonic() < deadline, [
                (task["task_id"], task["map_index"], task["state"]) for task in self.tasks(run)
            ]
            time.sleep(1)
        return found

    def run(self, dag: str = HOURLY, **conf: object) -> str:
        """Run a DAG to success and return its run's id."""
        run = self.trigger(dag, **conf)
        assert self.wait(run, dag)["state"] == "success", [
            (task["task_id"], task["map_index"], task["state"]) for task in self.tasks(run, dag=dag)
        ]
        return run

    def land(self, name: str, records: list[dict[str, str]]) -> None:
        """Drop a file into the landing folder, whole."""
        fresh = self.landing / f".{name}"
        with fresh.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            writer.writerows(records)
        fresh.rename(self.landing / name)

    def conservation(self) -> tuple[int, int]:
        """Rows in the lake, and rows in silver, kept or told."""
        ((lake,),) = self.rows(self.lake, "select count(*) from forex.customer_transactions")
        ((silver,),) = self.rows(
            "pro",
            "select (select count(*) from silver.transaction)"
            " + (select count(*) from silver.rejected_transaction)"
            " + (select count(*) from silver.superseded_transaction)",
        )
        return lake, silver


@contextmanager
def running(made: Cluster):
    """Start a cluster, and remove it in the end."""
    made.landing.mkdir(parents=True)
    made.landing.chmod(0o755)
    made.command("make", "down", "VOLUMES=1", check=False)
    try:
        made.timed("make up, images built", "make", "up")
        yield made
        for what, seconds in made.took.items():
            print(f"\n{what}: {seconds} s", end="")
    finally:
        if not os.environ.get("KEEP_CLUSTER"):
            made.command("make", "down", "VOLUMES=1")
            made.command("rm", "-rf", str(made.folder))


@pytest.fixture(scope="session")
def cluster():
    with running(Cluster(Path(scratch.environment()["WAREHOUSE_FOLDER"]))) as made:
        yield made
