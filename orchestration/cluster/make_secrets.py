"""Every credential of the cluster, made at random: `python3 -m orchestration.cluster.make_secrets`.

Runs on a bare Python with `ssh-keygen` beside it, before anything is installed. What exists is left
alone; `--rotate` makes all of them anew and tells the running databases, `make rotate` says how.

Compose mounts a file secret with the owner and mode that it has on the host, and the containers'
users are not the host's. So the files are readable to all, and the folder to its owner only.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ORCHESTRATION = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("SECRETS_FOLDER", ORCHESTRATION / "secrets"))
# Who logs in to postgres-dbt, beside its administrator.
WAREHOUSE_ROLES = (
    "loader",
    "lake_reader",
    "pro_reader",
    "dbt_pro",
    "dbt_ci",
    "analyst",
    "monitor",
    "dashboard",
)
# The administrators of the two databases: service, secret with the password.
DATABASES = (
    ("postgres-airflow", "postgres_airflow_password"),
    ("postgres-dbt", "postgres_dbt_password"),
)
SCRAM_ITERATIONS = 4096
# The server's own figures, and the length of a queue; never what is in one.
REDIS_MONITOR_RIGHTS = (
    "resetchannels %R~* -@all +ping +info +select +client|setname +type +llen"
    " +memory|usage +latency|latest +latency|histogram +slowlog|len +slowlog|get"
)


def _password() -> str:
    return secrets.token_urlsafe(24)


def _key() -> str:
    """64 bytes, so that no HMAC is weaker than its hash."""
    return secrets.token_urlsafe(64)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


MADE: dict[str, Callable[[], str]] = {
    "postgres_airflow_password": _password,
    "postgres_dbt_password": _password,
    "redis_password": _password,
    "redis_monitor_password": _password,
    "airflow_admin_password": _password,
    "airflow_reporter_password": _password,
    "airflow_monitor_password": _password,
    "grafana_admin_password": _password,
    "elastic_password": _password,
    "elastic_kibana_password": _password,
    "elastic_operator_password": _password,
    "elastic_writer_password": _password,
    "kibana_encryption_key": _key,
    "airflow_fernet_key": _fernet_key,
    "airflow_jwt_secret": _key,
    "airflow_api_secret_key": _key,
    **{f"{role}_password": _password for role in WAREHOUSE_ROLES},
}
KEYS = ("ssh_client_key", "ssh_host_key")


def _make_keys(folder: Path) -> None:
    for name in KEYS:
        if (folder / name).exists():
            continue
        if not shutil.which("ssh-keygen"):
            sys.exit("error: ssh-keygen is not installed; on Debian, install openssh-client")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)],
            check=True,
        )


def _derived(have: dict[str, str], host_key: str) -> dict[str, str]:
    """Return the secrets that hold other ones: what a service needs, in the form it reads."""

    def passfile(roles: dict[str, str]) -> str:
        return "".join(f"*:*:*:{role}:{have[secret]}\n" for role, secret in roles.items())

    every_role = {role: f"{role}_password" for role in WAREHOUSE_ROLES}
    airflow_database = f"airflow:{have['postgres_airflow_password']}@postgres-airflow/airflow"
    broker = f"redis://:{have['redis_password']}@redis:6379"
    worker = {
        "broker_url": f"{broker}/0",
        # In Redis and not in Airflow's database: a worker needs no way to that.
        "result_backend": f"{broker}/1",
        "api_secret_key": have["airflow_api_secret_key"],  # signs requests for a worker's logs
    }
    connections = {
        "data_lake": {
            "conn_type": "postgres",
            "host": "postgres-dbt",
            "port": 5432,
            "login": "loader",
            "password": have["loader_password"],
            "schema": "data_lake",
        },
        "dbt": {
            "conn_type": "ssh",
            "host": "dbt",
            "port": 2222,
            "login": "dbt",
            "extra": {
                "key_file": "/run/secrets/ssh_client_key",
                "host_key": " ".join(host_key.split()[:2]),
                "no_host_key_check": False,
                "allow_host_key_change": False,
                "look_for_keys": False,
                "keepalive_interval": 10,
            },
        },
        "airflow_api": {
            "conn_type": "http",
            "host": "http://api-server",
            "port": 8080,
            "login": "reporter",
            "password": have["airflow_reporter_password"],
        },
    }
    return {
        "redis.conf": "\n".join(
            [
                f"requirepass {have['redis_password']}",
                f"user monitor on >{have['redis_monitor_password']} {REDIS_MONITOR_RIGHTS}",
                "appendonly yes",  # queued tasks outlive a restart
                "dir /data",
                "maxmemory 128mb",
                "maxmemory-policy noeviction",
                "",
            ]
        ),
        # JSON is YAML, too.
        "filebeat_output.yml": json.dumps(
            {
                "output.elasticsearch": {
                    "hosts": ["http://elasticsearch:9200"],
                    "username": "forex_log_writer",
                    "password": have["elastic_writer_password"],
                }
            },
            indent=1,
        ),
        "kibana.yml": json.dumps(
            {
                "server.host": "0.0.0.0",  # noqa: S104 - of the container
                "elasticsearch.hosts": ["http://elasticsearch:9200"],
                "elasticsearch.username": "kibana_system",
                "elasticsearch.password": have["elastic_kibana_password"],
                "xpack.encryptedSavedObjects.encryptionKey": have["kibana_encryption_key"],
                "xpack.security.encryptionKey": have["kibana_encryption_key"],
                "xpack.reporting.encryptionKey": have["kibana_encryption_key"],
                "telemetry.enabled": False,
            },
            indent=1,
        ),
        "redis_exporter.json": json.dumps(
            {"redis://monitor@redis:6379": have["redis_monitor_password"]}
        ),
        "pgpass_provision": passfile({"postgres": "postgres_dbt_password", **every_role}),
        "pgpass_dbt": passfile({"dbt_pro": "dbt_pro_password"}),
        "airflow_configs_worker.json": json.dumps(worker, indent=1),
        "airflow_configs.json": json.dumps(
            {
                **worker,
                "sql_alchemy_conn": f"postgresql+psycopg2://{airflow_database}",
                "fernet_key": have["airflow_fernet_key"],
                "jwt_secret": have["airflow_jwt_secret"],
            },
            indent=1,
        ),
        "airflow_connections.json": json.dumps(connections, indent=1),
    }


def make(folder: Path) -> None:
    """Make the secrets that are not there yet, and what follows from them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write(folder / ".gitignore", "*\n")  # never committed, whatever the project ignores
    have = {}
    for name, maker in MADE.items():
        file = folder / name
        if not file.exists():
            _write(file, maker())
        have[name] = file.read_text()
    _make_keys(folder)
    host_key = (folder / "ssh_host_key.pub").read_text()
    for name, text in _derived(have, host_key).items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            _write(folder / name, text)
    for file in folder.iterdir():
        file.chmod(0o444)


def _write(file: Path, text: str) -> None:
    """Replace a file whole, so that an interruption leaves the old one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password, so that no statement ever holds it."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = base64.b64encode(hashlib.sha256(client_key).digest()).decode()
    server = base64.b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    encoded_salt = base64.b64encode(salt).decode()
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{encoded_salt}${stored}:{server}"


def rotate(folder: Path) -> None:
    """Make all secrets anew; the administrators' passwords change in the running databases.

    The other roles get their new passwords when the provisioning runs again, at the next start.
    """
    with tempfile.TemporaryDirectory(prefix="secrets-", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        make(fresh)
        for service, secret in DATABASES:
            user = "airflow" if service == "postgres-airflow" else "postgres"
            verifier = scram_verifier((fresh / secret).read_text())
            old = (folder / secret).read_text()
            _psql(service, user, old, f"alter role {user} password '{verifier}'")
            # At once: an interruption must not lose the password that the database now has.
            (fresh / secret).replace(folder / secret)
        for file in fresh.iterdir():
            file.replace(folder / file.name)


def _psql(service: str, user: str, password: str, statement: str) -> None:
    """Run a statement in a database's own container; its secret may be older than the password."""
    login = "read -r PGPASSWORD && export PGPASSWORD && exec psql -qX -v ON_ERROR_STOP=1"
    compose = ["docker", "compose", "-f", str(ORCHESTRATION / "docker-compose.yml")]
    done = subprocess.run(
        [*compose, "exec", "-T", service, "sh", "-c", f"{login} -U {user} -d {user}"],
        input=f"{password}\n{statement}",
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"error: {service} did not take its new password: {done.stderr.strip()[-300:]}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotate", action="store_true", help="make all of them anew")
    if parser.parse_args().rotate:
        rotate(FOLDER)
    else:
        make(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
