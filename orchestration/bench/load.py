"""Loading, beside COPY alone and one session of COPY and MERGE."""

from __future__ import annotations

import multiprocessing
import os
import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import psycopg

from orchestration.bench import files
from orchestration.bench.measure import Figures, administrator, empty_lake, medians, seconds
from orchestration.loader import connect, load_file, worker_pool
from orchestration.loader.layout import COLUMNS, KEY
from orchestration.loader.planning import DEFAULT_ROWS_PER_CHUNK
from orchestration.warehouse import settings

WORKERS = 4
_LIST = ", ".join(COLUMNS)
_VALUES = [column for column in COLUMNS if column != KEY]
_TEXT = ", ".join(f"{column} text" for column in COLUMNS)
_ONE_SESSION = f"""
    merge into forex.customer_transactions as lake
    using staged on lake.{KEY} = staged.{KEY}
    when matched and ({", ".join(f"lake.{column}" for column in _VALUES)})
        is distinct from ({", ".join(f"staged.{column}" for column in _VALUES)}) then
        update set ({", ".join(_VALUES)}, load_timestamp)
            = ({", ".join(f"staged.{column}" for column in _VALUES)}, now())
    when not matched then
        insert ({_LIST}) values ({", ".join(f"staged.{column}" for column in COLUMNS)})
"""


def measure(rows: int, repeat: int) -> Figures:
    """Return medians of rows a second, for each way to load a file."""
    path, again = files.base(rows), files.changed(rows)
    blocks, blocks_again = files.good_blocks(path), files.good_blocks(again)
    runs: list[dict[str, float]] = []
    memory = 0
    with worker_pool(WORKERS) as pool:
        for _ in range(repeat):
            took: dict[str, float] = {}
            for sessions in (1, WORKERS):
                for kind in ("unlogged table", "table", "table with primary key"):
                    _make_table(kind)
                    plural = "s" if sessions > 1 else ""
                    took[f"COPY, {sessions} session{plural}: {kind}"] = seconds(
                        partial(_copy_in_parallel, blocks, sessions)
                    )
            empty_lake()
            took["one session of COPY and MERGE: first load"] = seconds(
                partial(_one_session, blocks)
            )
            took["one session of COPY and MERGE: 1 % changed"] = seconds(
                partial(_one_session, blocks_again)
            )
            empty_lake()
            took["this loader: first load"] = seconds(partial(load, path, pool))
            took["this loader: 1 % changed"] = seconds(partial(load, again, pool))
            runs.append({name: rows / value for name, value in took.items()})
        memory = max(pool.map(_peak, range(4 * WORKERS)))
    return {"rows_per_second": medians(runs), "peak_mb_per_process": memory}


def _peak(_: int) -> int:
    """Return this process's peak; `getrusage` would count the process that it was started by."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]


def load(path: Path, pool: ProcessPoolExecutor) -> None:
    """Load a file as the command line does, in processes that have started already."""
    conninfo = settings.conninfo("data_lake", "loader")
    with connect(conninfo) as connection:
        load_file(
            str(path),
            connection=connection,
            conninfo=conninfo,
            pool=pool,
            workers=WORKERS,
            rows_per_chunk=DEFAULT_ROWS_PER_CHUNK,
            folder=settings.SERVER_FOLDER / "loads",
        )


def _make_table(kind: str) -> None:
    unlogged = "unlogged" if "unlogged" in kind else ""
    key = f", primary key ({KEY})" if "key" in kind else ""
    with administrator("data_lake") as lake:
        lake.execute("drop table if exists forex.bench")
        lake.execute(f"create {unlogged} table forex.bench ({_TEXT}{key})")
        lake.execute("checkpoint")


def _copy_in_parallel(blocks: list[bytes], sessions: int) -> None:
    context = multiprocessing.get_context("fork")
    share = -(-len(blocks) // sessions)
    parts = [blocks[at : at + share] for at in range(0, len(blocks), share)]
    processes = [context.Process(target=_copy_and_exit, args=(part,)) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError("a session of COPY failed")


def _copy_and_exit(blocks: list[bytes]) -> None:
    with psycopg.connect(settings.conninfo("data_lake", settings.admin())) as connection:
        _copy(connection, "forex.bench", blocks)
    os._exit(0)


def _copy(connection: psycopg.Connection, table: str, blocks: list[bytes]) -> None:
    statement = f"copy {table} ({_LIST}) from stdin (format csv)".encode()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in blocks:
            copy.write(block)


def _one_session(blocks: list[bytes]) -> None:
    """As good as one session gets: staged, analysed and merged in one go; nothing is checked."""
    with psycopg.connect(settings.conninfo("data_lake", "loader")) as connection:
        connection.execute(f"create temporary table staged ({_TEXT}) on commit drop".encode())
        _copy(connection, "staged", blocks)
        connection.execute("analyze staged")
        connection.execute(_ONE_SESSION.encode())
