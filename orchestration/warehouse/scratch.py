"""Run a command on a throw-away server: `python -m orchestration.warehouse.scratch COMMAND …`.

For what needs a warehouse but has no business in the user's: linting, tests, comparisons.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


# Durability is for crashes of the machine, and what is here does not outlive the command.
THROW_AWAY = "fsync=off shared_buffers=128MB"


def environment(options: str = THROW_AWAY) -> dict[str, str]:
    """Return the environment of a new throw-away server, in a folder of its own in `.cache/`.

    It replaces every variable that could lead to another server.

    Args:
        options: The server's settings, as far as they differ from a user's.

    """
    (CHECKOUT / ".cache").mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(prefix="scratch-", dir=CHECKOUT / ".cache")
    Path(folder).chmod(0o711)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WAREHOUSE_", "PG", "DBT_ENV_SECRET_"))
    }
    return kept | {
        "WAREHOUSE_FOLDER": folder,
        "WAREHOUSE_PORT": str(free_port()),
        "PGPASSFILE": f"{folder}/pgpass",
        "DBT_PROFILES_DIR": str(CHECKOUT / "profiles"),
        "WAREHOUSE_SERVER_OPTIONS": options,
    }


def free_port() -> int:
    """Return a port below those that systems lend to clients: it stays free between restarts."""
    while True:
        port = random.randrange(10000, 20000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


@contextmanager
def server(options: str = THROW_AWAY) -> Iterator[dict[str, str]]:
    """Start and provision a throw-away server; yield the environment that leads to it.

    Args:
        options: As of `environment`.

    """
    own = environment(options)

    def run(*arguments: str, check: bool) -> None:
        subprocess.run([sys.executable, "-m", *arguments], env=own, check=check)

    try:
        run("orchestration.warehouse.server", "start", check=True)
        run("orchestration.warehouse.provision", check=True)
        yield own
    finally:
        run("orchestration.warehouse.server", "stop", check=False)
        shutil.rmtree(own["WAREHOUSE_FOLDER"], ignore_errors=True)


def main() -> int:
    """Run the command line."""
    try:
        with server() as own:
            return subprocess.run(sys.argv[1:], env=own, check=False).returncode
    except subprocess.CalledProcessError as error:
        return error.returncode  # its one line has been printed


if __name__ == "__main__":
    sys.exit(main())
