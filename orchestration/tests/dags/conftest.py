"""A throw-away platform without containers: a server of its own, a real sshd, Airflow on SQLite."""

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from orchestration.cluster import sshd, standalone
from orchestration.warehouse import scratch
from orchestration.warehouse.settings import CHECKOUT

AIRFLOW = CHECKOUT / ".venv-airflow/bin/python"
START_SECONDS = 10


def _wait_for_port(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "sshd did not start"
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < deadline, "sshd does not answer"
        time.sleep(0.05)


@dataclass
class Platform:
    """Where everything is."""

    environment: dict[str, str]
    folder: Path
    ssh_port: int

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    def connect(self, database: str, role: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=int(self.environment["WAREHOUSE_PORT"]),
            dbname=database,
            user=role,
            passfile=self.environment["PGPASSFILE"],
            autocommit=True,
        )

    def rows(self, database: str, query: str) -> list[tuple]:
        with self.connect(database, "postgres") as connection:
            return connection.execute(query).fetchall()

    def ssh(self, command: str, *options: str, key: str = "client_key") -> list[str]:
        return [
            *("ssh", "-F", "none", "-i", str(self.folder / key), "-p", str(self.ssh_port)),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", *options),
            *("127.0.0.1", command),
        ]

    def airflow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(AIRFLOW), *arguments],
            cwd=CHECKOUT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )

    def run(self, dag: str, *skipped: str, **environment: str) -> dict:
        """Run a DAG to its end in one process; return its state and that of its tasks."""
        outcome = self.folder / "outcome.json"
        outcome.unlink(missing_ok=True)
        done = self.airflow(
            "-m", "orchestration.tests.dags.drive", dag, str(outcome), *skipped, **environment
        )
        assert outcome.exists(), done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(outcome.read_text()) | {"log": done.stdout + done.stderr}


@pytest.fixture(scope="session")
def airflow_folder(tmp_path_factory):
    if not AIRFLOW.exists():
        pytest.fail("no .venv-airflow; make test makes it")
    # Not in pytest's own folder: sshd wants nobody else to be able to write above its keys.
    folder = Path(scratch.environment()["WAREHOUSE_FOLDER"])
    folder.chmod(0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def platform(airflow_folder):
    if not sshd.program():
        pytest.skip("no sshd on this machine; on Debian, install openssh-server")
    folder = airflow_folder
    for name in ("landing", "staging"):
        (folder / name).mkdir(mode=0o700)
    standalone.make_keys(folder)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other_key")], check=True
    )
    ssh_port = scratch.free_port()
    (folder / "known_hosts").write_text(
        f"[127.0.0.1]:{ssh_port} {(folder / 'host_key.pub').read_text()}"
    )
    with scratch.server() as warehouse:
        environment = warehouse | standalone.dbt_environment(folder)
        with pytest.MonkeyPatch.context() as patch:
            for name in set(os.environ) - set(environment):
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            door = standalone.start_sshd(folder, ssh_port)
        try:
            _wait_for_port(ssh_port, door)
            password = next(
                line.rsplit(":", 1)[1]
                for line in Path(environment["PGPASSFILE"]).read_text().splitlines()
                if line.split(":")[3] == "loader"
            )
            environment |= standalone.airflow_environment(
                folder,
                folder / "landing",
                int(environment["WAREHOUSE_PORT"]),
                ssh_port,
                password,
            )
            made = Platform(environment, folder, ssh_port)
            migrated = made.airflow("-m", "airflow", "db", "migrate")
            assert migrated.returncode == 0, migrated.stderr[-3000:]
            yield made
        finally:
            door.terminate()
            door.wait(10)
