"""Airflow without containers, for development: `make airflow`.

The same DAGs, on the embedded server: `airflow standalone` in `.venv-airflow`, and an sshd of this
user on the loopback interface through which the DAGs reach dbt in `.venv`. All of it ends with
Ctrl-C; what it stores is in `.cache/airflow`.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from orchestration.cluster import sshd
from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.scratch import free_port
from orchestration.warehouse.settings import CHECKOUT

FOLDER = CHECKOUT / ".cache/airflow"
AIRFLOW = CHECKOUT / ".venv-airflow/bin/airflow"
KEYS = ("host_key", "client_key")
GRACE_SECONDS = 10.0


def make_keys(folder: Path) -> None:
    """Make the key of the server and that of its caller, where there are none yet."""
    for name in KEYS:
        if not (folder / name).exists():
            key = ["-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(["ssh-keygen", *key], check=True)


def dbt_environment(folder: Path) -> dict[str, str]:
    """Return what dbt's side needs beside the way to the warehouse."""
    return {
        "DBT_PROFILES_DIR": str(CHECKOUT / "profiles"),
        "DBT_PROJECT_DIR": str(CHECKOUT),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "DBT_PUBLISH_PATH": str(folder / "published"),
        "PYTHONPATH": str(CHECKOUT),
    }


def airflow_environment(
    folder: Path, landing: Path, port: int, ssh_port: int, password: str
) -> dict[str, str]:
    """Return Airflow's settings and its connections.

    Args:
        folder: Where the keys are, and where Airflow may write.
        landing: Where the files arrive.
        port: Of the warehouse on this machine.
        ssh_port: Of the door to dbt on this machine.
        password: Of the role `loader`.

    """
    connections = {
        "data_lake": {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": port,
            "login": "loader",
            "password": password,
            "schema": "data_lake",
        },
        "dbt": {
            "conn_type": "ssh",
            "host": "127.0.0.1",
            "port": ssh_port,
            "login": getpass.getuser(),
            "extra": {
                "key_file": str(folder / "client_key"),
                "host_key": " ".join((folder / "host_key.pub").read_text().split()[:2]),
                "no_host_key_check": False,
                "look_for_keys": False,
            },
        },
    }
    return {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "orchestration/dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "orchestration/plugins"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "AIRFLOW_VAR_FOREX_LANDING": f"file://{landing}",
        "AIRFLOW_VAR_FOREX_STAGING": f"file://{folder}/staging",
        "PYTHONPATH": str(CHECKOUT),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(c) for name, c in connections.items()},
    }


def make_launcher(folder: Path) -> Path:
    """Make the `airflow` that `standalone` finds by its name; return its folder.

    The scheduler and the triggerer would each open a port to every network, for logs that the
    web server reads from the disk here.
    """
    launcher = folder / "bin/airflow"
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(
        "#!/bin/sh\n"
        'case $1 in scheduler|triggerer) set -- "$@" --skip-serve-logs ;; esac\n'
        f'exec {shlex.quote(str(AIRFLOW))} "$@"\n'
    )
    launcher.chmod(0o700)
    return launcher.parent


def start_sshd(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the door to dbt; its sessions get this process's environment."""
    own = folder / "sshd"
    own.mkdir(mode=0o700, exist_ok=True)
    configuration = sshd.configure(
        own, "127.0.0.1", port, folder / "host_key", folder / "client_key.pub"
    )
    with (folder / "sshd.log").open("wb") as log:
        return subprocess.Popen(sshd.command(configuration), stderr=log)


@one_line
def main() -> int:
    """Run the command line."""
    if not sshd.program() or not shutil.which("ssh-keygen"):
        raise UserError("sshd is not installed; on Debian: apt-get install openssh-server")
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    landing = CHECKOUT / "landing"
    landing.mkdir(exist_ok=True)
    make_keys(FOLDER)
    os.environ |= dbt_environment(FOLDER)
    os.environ["PGPASSFILE"] = str(settings.passfile())
    os.environ["WAREHOUSE_PORT"] = str(settings.port())
    ssh_port = free_port()
    door = start_sshd(FOLDER, ssh_port)
    environment = os.environ | airflow_environment(
        FOLDER, landing, settings.port(), ssh_port, settings.passwords()["loader"]
    )
    port = os.environ.get("AIRFLOW_PORT", "8080")
    environment["AIRFLOW__API__PORT"] = port
    environment["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{port}"
    environment["PATH"] = f"{make_launcher(FOLDER)}:{environment['PATH']}"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # A group of its own: Airflow's parts end together, in whatever way this command ends.
    airflow = subprocess.Popen(
        [str(AIRFLOW), "standalone"], env=environment, start_new_session=True
    )
    try:
        return airflow.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_group(airflow)
        door.terminate()


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(leader.pid, number)
            leader.wait(GRACE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
