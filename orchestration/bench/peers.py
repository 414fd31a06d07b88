"""Other tools, each in a process of `.venv-bench`: the same upsert, and what bad rows come to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from psycopg import sql

from orchestration.bench import files
from orchestration.bench.load import WORKERS, load
from orchestration.bench.measure import Figures, administrator, empty_lake, medians, seconds
from orchestration.loader import worker_pool
from orchestration.warehouse import settings

PYTHON = settings.CHECKOUT / ".venv-bench" / "bin" / "python"
TOOLS = Path(__file__).with_name("peer_tools.py")
NAMES = ("dlt", "duckdb", "adbc", "pandas_to_sql")
SMALL = 1000
MOST = 1_000_000  # beyond, some of them take hours


def measure(rows: int, _repeat: int) -> Figures:
    """Return rows a second of each tool, and what it does to a file with bad rows.

    Each tool is measured once, as some take minutes; this loader before each of them.
    """
    if rows > MOST:
        return {}
    first, again = files.base(rows, defects=0), files.changed(rows, defects=0)
    rates: dict[str, dict[str, float | str]] = {"this loader": {}}
    own: list[dict[str, float]] = []
    with worker_pool(WORKERS) as pool:
        for tool in NAMES:
            empty_lake()
            took = {
                "first load": rows / seconds(partial(load, first, pool)),
                "1 % changed": rows / seconds(partial(load, again, pool)),
            }
            own.append(took)
            _make_schema()
            rates[tool] = {
                "first load": _rate(rows, run(tool, str(first))),
                "1 % changed": _rate(rows, run(tool, str(again))),
                "bad rows": _bad_rows(tool),
            }
    rates["this loader"] |= medians(own)
    rates["this loader"]["bad rows"] = "each landed in forex.rejected_row with its reason"
    return {"rows_per_second": rates, "repetitions": 1}


def run(tool: str, argument: str) -> dict[str, Any]:
    """Run a tool in its own process; return what it prints."""
    folder = settings.SERVER_FOLDER / "peers"
    folder.mkdir(exist_ok=True)
    server = {
        "host": settings.host(),
        "port": str(settings.port()),
        "dbname": "data_lake",
        "user": settings.admin(),
        "password": settings.passwords()[settings.admin()],
    }
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    outcome = subprocess.run(
        [PYTHON, TOOLS, tool, argument],
        input=json.dumps(server),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=kept
        | {
            "HOME": str(folder),
            "DLT_DATA_DIR": str(folder),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        },
    )
    found: dict[str, Any] = json.loads(outcome.stdout.strip().splitlines()[-1])
    return found


def _rate(rows: int, outcome: dict[str, Any]) -> float | str:
    return rows / outcome["seconds"] if "seconds" in outcome else str(outcome["error"])


def _bad_rows(tool: str) -> str:
    """Load a small file of which some rows cannot be landed, and tell what happens."""
    _make_schema()
    path = files.base(SMALL, defects=0.05)
    outcome = run(tool, str(path))
    if "error" in outcome:
        return f"the file is refused whole ({outcome['error'].split(':')[0]})"
    with administrator("data_lake") as lake:
        row = lake.execute(sql.SQL("select count(*) from {}").format(sql.Identifier("peer", tool)))
        landed = (row.fetchone() or (0,))[0]
    with path.open() as file:
        lines = sum(1 for _ in file) - 1
    if landed == lines:
        return "all land, the short ones filled up with nothing"
    return f"{landed} of {lines} rows land, nothing is told of the others"


def _make_schema() -> None:
    shutil.rmtree(settings.SERVER_FOLDER / "peers", ignore_errors=True)
    with administrator("data_lake") as lake:
        lake.execute("drop schema if exists peer cascade")
        lake.execute("drop schema if exists peer_staging cascade")
        lake.execute("create schema peer")
        lake.execute("checkpoint")
