"""The embedded server: private, one port, one line when it cannot start."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from orchestration.warehouse import server as embedded
from orchestration.warehouse import settings
from orchestration.warehouse.settings import CHECKOUT


def _command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def elsewhere(tmp_path):
    """Environment for a second server, stopped and removed afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        "WAREHOUSE_FOLDER": str(tmp_path / "server"),
        "WAREHOUSE_PORT": port,
        "WAREHOUSE_PASSFILE": str(tmp_path / "server" / "pgpass"),
    }
    yield environment
    _command("orchestration.warehouse.server", "stop", **environment)


def test_it_is_private(server):
    data = settings.SERVER_FOLDER / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    pid = int((data / "postmaster.pid").read_text().split()[0])
    process = Path(f"/proc/{pid}")
    if os.geteuid() == 0 and process.exists():
        own_namespace = (process / "ns/user").readlink() != Path("/proc/self/ns/user").readlink()
        capabilities = (process / "status").read_text().split("CapEff:")[1].split()[0]
        assert own_namespace or (process.stat().st_uid != 0 and int(capabilities, 16) == 0)
    with psycopg.connect(server("postgres", "postgres")) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)
        methods = connection.execute(
            "select distinct auth_method from pg_hba_file_rules"
        ).fetchall()
    assert methods == [("scram-sha-256",)]


def test_start_stop_and_start_again_keeps_the_data(elsewhere):
    for _ in range(2):
        assert _command("orchestration.warehouse.server", "start", **elsewhere).returncode == 0
    assert _command("orchestration.warehouse.provision", **elsewhere).returncode == 0
    before = Path(elsewhere["WAREHOUSE_PASSFILE"]).read_text()
    assert _command("orchestration.warehouse.server", "stop", **elsewhere).returncode == 0
    stopped = _command("orchestration.warehouse.provision", **elsewhere)
    assert stopped.returncode == 2
    assert len(stopped.stderr.splitlines()) == 1
    assert "no connection to PostgreSQL" in stopped.stderr
    assert _command("orchestration.warehouse.server", "start", **elsewhere).returncode == 0
    assert _command("orchestration.warehouse.provision", **elsewhere).returncode == 0
    assert Path(elsewhere["WAREHOUSE_PASSFILE"]).read_text() == before


def test_killed_it_starts_again(elsewhere):
    _command("orchestration.warehouse.server", "start", **elsewhere)
    data = Path(elsewhere["WAREHOUSE_FOLDER"]) / "data"
    pid = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    assert _command("orchestration.warehouse.server", "start", **elsewhere).returncode == 0


def test_killed_it_starts_again_though_its_number_is_anothers(elsewhere):
    _command("orchestration.warehouse.server", "start", **elsewhere)
    lock = Path(elsewhere["WAREHOUSE_FOLDER"]) / "data" / "postmaster.pid"
    pid, *rest = lock.read_text().splitlines(keepends=True)
    os.kill(int(pid), signal.SIGKILL)
    owner = lock.stat()
    with subprocess.Popen(["sleep", "600"], user=owner.st_uid, cwd="/") as other:
        lock.write_text("".join([f"{other.pid}\n", *rest]))
        outcome = _command("orchestration.warehouse.server", "start", **elsewhere)
        other.kill()
    assert outcome.returncode == 0, outcome.stderr


def test_a_taken_port_is_one_line(elsewhere):
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(elsewhere["WAREHOUSE_PORT"])))
        other.listen()
        outcome = _command("orchestration.warehouse.server", "start", **elsewhere)
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert "is taken by another program" in outcome.stderr
    assert "WAREHOUSE_PORT=" in outcome.stderr


@pytest.mark.parametrize(
    "setting, value",
    [
        ("WAREHOUSE_PORT", "many"),
        ("WAREHOUSE_PORT", "80"),
        ("WAREHOUSE_USER", "x; drop"),
        ("WAREHOUSE_USER", "pro_x"),
        ("WAREHOUSE_USER", "ci"),
    ],
)
def test_a_wrong_setting_is_one_line(elsewhere, setting, value):
    outcome = _command("orchestration.warehouse.provision", **elsewhere | {setting: value})
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert setting in outcome.stderr


def test_the_port_of_a_checkout_is_stable(monkeypatch, tmp_path):
    monkeypatch.delenv("WAREHOUSE_PORT")
    monkeypatch.setattr(settings, "SERVER_FOLDER", tmp_path)
    assert settings.port() == settings.port()
    assert 20000 <= settings.port() < 30000
    (tmp_path / "port").write_text("4444\n")
    assert settings.port() == 4444


def test_no_binaries_is_one_line(monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(embedded.UserError, match="make setup"):
        embedded.binaries()
