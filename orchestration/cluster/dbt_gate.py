"""The door to dbt: the only program that the cluster's SSH key can run.

sshd starts it for every session (`ForceCommand`), whatever the caller asked for; what that was is
in `SSH_ORIGINAL_COMMAND`, and must be, word for word, one of `COMMANDS`. The environment is the
container's. One command runs at a time, and dies with the connection that asked for it.

After dbt's own output comes one line that begins with `OUTCOME`, for a program to read.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
OUTCOME = "dbt outcome: "
POLL_SECONDS = 0.2
# Between the ways to end a process: dbt cancels its queries on the first.
GRACE_SECONDS = 10.0
REFUSED = 126  # as shells do for what may not be executed
FAILED = ("error", "fail", "runtime error")
MESSAGE_CHARACTERS = 500

Dbt = tuple[str, ...]


def target() -> Path:
    """Folder of dbt's artifacts."""
    return Path(os.environ["DBT_TARGET_PATH"])


def _dbt(*arguments: str) -> list[list[str]]:
    program = str(Path(sys.executable).with_name("dbt"))
    return [[program, "--no-use-colors", *arguments]]


def _module(name: str, *arguments: str) -> list[list[str]]:
    return [[sys.executable, "-m", name, *arguments]]


COMMANDS: dict[str, Callable[[], list[list[str]]]] = {
    "dbt deps": lambda: _module("orchestration.warehouse.dbt_packages", "--if-stale"),
    "dbt build --target pro": lambda: _dbt("build", "--target", "pro"),
    "dbt test --target pro": lambda: _dbt(
        "test", "--target", "pro", "--exclude-resource-type", "unit_test"
    ),
    "dbt source freshness --target pro": lambda: _dbt("source", "freshness", "--target", "pro"),
    "dbt docs generate --target pro": lambda: [
        *_dbt("docs", "generate", "--static", "--target", "pro"),
        *_module("orchestration.warehouse.docs", str(target() / "static_index.html")),
    ],
    "maintain": lambda: _module("orchestration.cluster.maintain"),
    "report": lambda: _module(
        "orchestration.report",
        *("--since", f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"),
        *("--page", str(Path(os.environ["DBT_PUBLISH_PATH"]) / "report.html")),
    ),
    "publish": lambda: _module("orchestration.cluster.dbt_gate", "--publish"),
}


def publish() -> int:
    """Put the state for Slim CI and the documentation where others take them from.

    The state is the manifest and the files that it says nothing about, as slim_ci/state.py has it.
    """
    folder = Path(os.environ["DBT_PUBLISH_PATH"])
    folder.mkdir(parents=True, exist_ok=True)
    for source in (
        target() / "manifest.json",
        PROJECT / "dbt_project.yml",
        PROJECT / "orchestration/warehouse/provisioning/landing.sql",
        target() / "static_index.html",
    ):
        fresh = folder / f"{source.name}.new"
        shutil.copyfile(source, fresh)
        fresh.replace(folder / source.name)
        print(f"published {folder / source.name}")
    return 0


class _InterruptedError(Exception):
    """The connection is gone, or somebody wants this process to end."""


def _run(command: list[str], parent: int) -> int:
    """Run a command to its end; end it when the parent, which is the connection, is gone."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while process.poll() is None:
            if os.getppid() != parent:
                raise _InterruptedError
            time.sleep(POLL_SECONDS)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            os.killpg(process.pid, number)
            _wait(process)
    return process.returncode


def _wait(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _take_turn(parent: int) -> int:
    """Wait until no other command runs: they share dbt's folder of artifacts."""
    target().mkdir(parents=True, exist_ok=True)
    lock = os.open(target() / "gate.lock", os.O_CREAT | os.O_RDWR, 0o600)
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if not told:
                print("waiting until another dbt command has finished", flush=True)
                told = True
        if os.getppid() != parent:
            raise _InterruptedError
        time.sleep(POLL_SECONDS)


def keep_build(since: float, code: int) -> None:
    """Keep a build's results, which the next dbt command overwrites, for the metrics."""
    results = target() / "run_results.json"
    if not results.exists() or results.stat().st_mtime < since:
        return
    for name in ("build_results.json", *(["build_success.json"] if code == 0 else [])):
        fresh = target() / f"{name}.new"
        shutil.copyfile(results, fresh)
        fresh.replace(target() / name)


def outcome(since: float) -> dict[str, Any]:
    """Return what dbt's artifacts that are newer than `since` say, in short."""
    found: dict[str, Any] = {"models": [], "failed": [], "tests": {}}
    for name in ("run_results.json", "sources.json"):
        file = target() / name
        if not file.exists() or file.stat().st_mtime < since:
            continue
        tests: Counter[str] = Counter()
        for result in json.loads(file.read_text())["results"]:
            kind, _, node = result["unique_id"].split(".", 2)
            if result["status"] in FAILED:
                message = result.get("message") or result.get("error") or ""
                found["failed"].append(
                    {
                        "name": node,
                        "kind": kind,
                        "status": result["status"],
                        "message": " ".join(str(message).split())[:MESSAGE_CHARACTERS],
                    }
                )
            if kind == "model":
                rows = result["adapter_response"].get("rows_affected")
                found["models"].append(
                    {
                        "name": node,
                        "status": result["status"],
                        "rows": rows,
                        "seconds": round(result["execution_time"], 2),
                    }
                )
            elif kind in ("test", "unit_test"):
                tests[result["status"]] += 1
        found["tests"] |= tests
    return found


def serve(asked: str) -> int:
    """Run what the caller asked for, if it may be, and return its exit code."""
    parent = os.getppid()
    commands = COMMANDS.get(asked)
    if commands is None:
        allowed = ", ".join(f"'{command}'" for command in COMMANDS)
        print(f"error: {asked!r} is not permitted; permitted are {allowed}", file=sys.stderr)
        return REFUSED

    def interrupt(*_: object) -> None:
        raise _InterruptedError

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupt)
    code = 0
    try:
        lock = _take_turn(parent)
        started = time.time()
        for command in commands():
            code = code or _run(command, parent)
        sys.stdout.flush()
        if asked.startswith("dbt build "):
            keep_build(started, code)
        print(OUTCOME + json.dumps({"exit": code, **outcome(started)}), flush=True)
        os.close(lock)
    except _InterruptedError:
        return 128 + signal.SIGHUP
    return code


if __name__ == "__main__":
    if sys.argv[1:] == ["--publish"]:
        sys.exit(publish())
    sys.exit(serve(os.environ.get("SSH_ORIGINAL_COMMAND", "")))
