"""`make airflow`: the DAGs run without containers, and no port is open beyond this machine."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from orchestration.cluster import sshd
from orchestration.tests.end_to_end.clone import Clone
from orchestration.warehouse.scratch import free_port

HOURLY = "forex__customer_transactions__hourly"
SECONDS = 300


class Standalone:
    """A running `make airflow`."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.port = free_port()
        self.log = clone.folder / "airflow.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["make", "airflow"],
                cwd=clone.folder,
                # By the clock, a run at the full hour or at night would come in between.
                env=clone.environment()
                | {"AIRFLOW_PORT": str(self.port), "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def call(self, method: str, path: str, body: dict | None = None, token: str = "") -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - of this machine
            return json.load(answer)

    def until(self, what):
        """Return the first truth of `what`, which may fail while Airflow is starting."""
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, FileNotFoundError):
                if found := what():
                    return found
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(1)

    def log_in(self) -> str:
        folder = self.clone.folder / ".cache/airflow/airflow"
        passwords = json.loads(
            (folder / "simple_auth_manager_passwords.json.generated").read_text()
        )
        login = {"username": "admin", "password": passwords["admin"]}
        return self.call("POST", "/auth/token", login)["access_token"]

    def processes(self) -> set[int]:
        """All that works in the clone, whatever it calls itself."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(self.clone.folder):
                    found.add(int(process.name))
        return found

    def listening(self) -> set[str]:
        """Addresses, in hexadecimal, on which those processes listen."""
        sockets = set()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for file in (Path("/proc") / str(pid) / "fd").iterdir():
                    sockets.add(str(file.readlink()))
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                    found.add(fields[1].split(":")[0])
        return found


@pytest.fixture
def standalone(tmp_path):
    running = Standalone(clone := Clone(tmp_path))
    yield running
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGINT)
    running.process.wait(60)
    clone.run("make", "stop")


@pytest.mark.skipif(not sshd.program(), reason="needs sshd (Debian: openssh-server)")
def test_a_file_becomes_marts_without_containers(standalone):
    clone = standalone.clone
    (clone.folder / "landing").mkdir(exist_ok=True)
    shutil.copy(
        clone.folder / "orchestration/sample/customer_transactions.csv", clone.folder / "landing"
    )
    token = standalone.until(standalone.log_in)
    runs = f"/api/v2/dags/{HOURLY}/dagRuns"
    standalone.until(lambda: standalone.call("GET", f"/api/v2/dags/{HOURLY}", token=token))
    run = standalone.call("POST", runs, {"logical_date": None}, token)["dag_run_id"]

    def ended():
        state = standalone.call("GET", f"{runs}/{run}", token=token)["state"]
        return state if state in ("success", "failed") else None

    assert standalone.until(ended) == "success", standalone.log.read_text()[-3000:]
    assert standalone.listening() <= {"0100007F", f"{'0' * 24}01000000"}
    with psycopg.connect(clone.dsn("pro")) as pro:
        assert pro.execute("select count(*) > 0 from data_marts.agg_sales_country").fetchone()[0]
    for reader, code in (("", 401), (token, 404)):  # no night has passed that would make it
        with pytest.raises(urllib.error.HTTPError, match=str(code)):
            standalone.call("GET", "/warehouse/static_index.html", token=reader)
    os.killpg(standalone.process.pid, signal.SIGINT)
    standalone.process.wait(60)
    deadline = time.monotonic() + SECONDS
    while left := [pid for pid in standalone.processes() if "airflow" in _command(pid)]:
        assert time.monotonic() < deadline, [_command(pid) for pid in left]
        time.sleep(0.5)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_text()
    return ""
