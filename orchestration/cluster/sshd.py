"""An unprivileged sshd whose only door is the gate to dbt: `python -m orchestration.cluster.sshd`.

That is the main process of the `dbt` container. `make airflow` and the tests start the same server
on the loopback interface.
"""

from __future__ import annotations

import getpass
import os
import shutil
import stat
import sys
from pathlib import Path

from orchestration.warehouse.settings import CHECKOUT

# What a session gets of this process's environment; the caller's is never taken.
PASSED_ON = (
    "DBT_LOG_FORMAT_FILE",
    "DBT_LOG_LEVEL_FILE",
    "DBT_LOG_PATH",
    "DBT_PROFILES_DIR",
    "DBT_PROJECT_DIR",
    "DBT_PUBLISH_PATH",
    "DBT_TARGET_PATH",
    "DBT_THREADS",
    "HOME",
    "LANG",
    "PGPASSFILE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "WAREHOUSE_FOLDER",
    "WAREHOUSE_HOST",
    "WAREHOUSE_PASSFILE",
    "WAREHOUSE_PORT",
    "WAREHOUSE_SSLMODE",
    "WAREHOUSE_WORKERS",
)


def program() -> str | None:
    """Return the path of sshd, which wants to be started by its full path."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def configure(folder: Path, address: str, port: int, host_key: Path, client_key: Path) -> Path:
    """Write what sshd needs into a folder of its own, and return its configuration file.

    Args:
        folder: An existing folder that only this user can write, up to the root.
        address: Where to listen.
        port: Where to listen.
        host_key: Private key of the server.
        client_key: Public key of the one who may call.

    """
    # sshd refuses keys that others can read, as mounted secrets are.
    for source, name in ((host_key, "host_key"), (client_key, "authorized_keys")):
        file = folder / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(source.read_bytes())
    environment = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    settings = {
        "ListenAddress": f"{address}:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "AllowUsers": getpass.getuser(),
        "AuthenticationMethods": "publickey",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password" if os.geteuid() == 0 else "no",
        "ForceCommand": f"exec {sys.executable} -m orchestration.cluster.dbt_gate",
        "DisableForwarding": "yes",
        # sshd's own check knows no sticky folders, such as /tmp, where nobody moves our files.
        "StrictModes": "no" if _is_safe(folder) else "yes",
        "PermitTTY": "no",
        "PermitUserRC": "no",
        "PermitUserEnvironment": "no",
        "MaxAuthTries": "2",
        "LoginGraceTime": "20",
        # A caller whose machine is gone is noticed within this time; the gate then ends dbt.
        "ClientAliveInterval": "10",
        "ClientAliveCountMax": "3",
        "PidFile": "none",
        "LogLevel": "VERBOSE",
        "SetEnv": " ".join(f'"{name}={value}"' for name, value in environment.items()),
    }
    configuration = folder / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:  # asks for it only then
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return configuration


def _is_safe(folder: Path) -> bool:
    """Whether nobody else can put another folder in this one's place."""
    modes = [parent.stat().st_mode for parent in (folder, *folder.resolve().parents)]
    return all(not mode & 0o022 or mode & stat.S_ISVTX for mode in modes)


def command(configuration: Path) -> list[str]:
    """Return the command that runs the server in the foreground, its log on stderr."""
    return [program() or "/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)]


def main() -> int:
    """Become the server of the container."""
    secrets = Path("/run/secrets")
    folder = Path(os.environ["FOREX_PRIVATE"])
    passfile = folder / "pgpass"
    passfile.unlink(missing_ok=True)
    passfile.touch(mode=0o600)
    passfile.write_bytes((secrets / "pgpass_dbt").read_bytes())
    os.environ["PGPASSFILE"] = os.environ["WAREHOUSE_PASSFILE"] = str(passfile)
    os.environ.setdefault("DBT_PROJECT_DIR", str(CHECKOUT))
    configuration = configure(
        folder,
        "0.0.0.0",  # noqa: S104 - of the container
        2222,
        secrets / "ssh_host_key",
        secrets / "ssh_client_key.pub",
    )
    arguments = command(configuration)
    os.execv(arguments[0], arguments)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main())
