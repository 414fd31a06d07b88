"""Clocks, medians, and what is measured on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from orchestration.warehouse import settings

Figures = dict[str, Any]
Connection = psycopg.Connection[tuple[Any, ...]]


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over runs that all have the same figures."""
    return {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}


def repetitions(rows: int, repeat: int) -> int:
    """Return how often to measure: a size that takes minutes is measured once."""
    return repeat if rows <= 1_000_000 else 1


def administrator(database: str) -> Connection:
    """Connect as the administrator, in autocommit mode."""
    conninfo = settings.conninfo(database, settings.admin())
    return psycopg.connect(conninfo, autocommit=True)


def empty_lake() -> None:
    """Empty the lake, and leave no write of what was before to what comes."""
    with administrator("data_lake") as lake:
        lake.execute(
            "truncate forex.customer_transactions, forex.rejected_row,"
            " forex.load_chunk, forex.load_ledger"
        )
        lake.execute("checkpoint")


def machine() -> Figures:
    """Return what the figures depend on."""
    with administrator("postgres") as server:
        row = server.execute("select current_setting('server_version')").fetchone()
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30),
        "load_average_at_start": round(os.getloadavg()[0], 1),
        "postgresql": row[0] if row else "",
        "python": platform.python_version(),
        "dbt": version("dbt-core"),
        "psycopg": version("psycopg"),
    }
