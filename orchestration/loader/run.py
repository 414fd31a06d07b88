"""A whole load on one machine: the steps in order, the middle two in parallel processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import TypeVar

from orchestration.loader.database import Connection, connect
from orchestration.loader.errors import LoaderError
from orchestration.loader.extraction import Extract, extract
from orchestration.loader.layout import TRANSACTIONS
from orchestration.loader.ledger import Load, LoadResult, begin_load, finish_load, turn
from orchestration.loader.merge import ChunkResult, load_chunk
from orchestration.loader.planning import plan
from orchestration.loader.workspace import workspace

T = TypeVar("T")
# Told what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that end when the block fails, or when this process dies.

    Args:
        workers: How many processes.

    """
    # Spawned, as a forked process would share the parent's connection to the server.
    context = multiprocessing.get_context("spawn")
    alive, hold = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_end_with, initargs=(alive,)
    )
    pool.submit(os.getpid)  # starts the processes, while the first file is being read
    try:
        yield pool
    except BaseException:
        hold.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        hold.close()
        alive.close()


def _end_with(alive: Pipe) -> None:
    """Prepare a worker: end at once when the other end of the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle

    def wait() -> None:
        alive.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def load_file(
    path: str,
    *,
    connection: Connection,
    conninfo: str,
    pool: Executor,
    workers: int,
    rows_per_chunk: int,
    folder: Path,
    table: str = TRANSACTIONS.table,
    progress: Progress = lambda *_: None,
    waiting: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Load one file, after any load that is under way.

    Args:
        path: The CSV file.
        connection: An idle connection to the lake in autocommit mode; holds the turn meanwhile.
        conninfo: libpq connection string with which the workers connect.
        pool: Where the parallel steps run.
        workers: How many processes the pool has.
        rows_per_chunk: About how many rows to merge in one transaction.
        folder: Where to make the temporary folder for the chunk files, as large as the file.
        table: The landing table.
        progress: Called as the load goes on.
        waiting: Called once when another load has to end first.

    Raises:
        RefusedError: The file cannot be read, or its header is not that of the layout.
        LoaderError: The load stopped half-way; loading the file again repairs it.
        psycopg.Error: The server refused, or is gone.
        OSError: The chunk files cannot be written.

    """
    with turn(connection, waiting), workspace(folder) as own:
        progress("reading", 0, 1)
        planned = plan(path, workers, rows_per_chunk, table)
        load = begin_load(connection, planned)
        try:
            extracts = _all(
                [pool.submit(extract, planned, part, own) for part in planned.ranges],
                lambda done, total: progress("checking", done, total),
            )
            _all(
                [
                    pool.submit(_load_chunk, conninfo, load, chunk, extracts)
                    for chunk in range(load.chunk_count)
                ],
                lambda done, total: progress("merging", done, total),
            )
        except BrokenProcessPool as error:
            raise LoaderError(
                f"a process that loaded {path} was killed (out of memory?); load it again"
            ) from error
        return finish_load(connection, load, extracts)


def _load_chunk(conninfo: str, load: Load, chunk: int, extracts: Sequence[Extract]) -> ChunkResult:
    with connect(conninfo) as connection:
        return load_chunk(connection, load, chunk, extracts)


def _all(futures: list[Future[T]], done: Callable[[int, int], None]) -> list[T]:
    """Return the results in order; the first failure is raised at once, what waits is cancelled."""
    try:
        for count, future in enumerate(as_completed(futures), 1):
            future.result()
            done(count, len(futures))
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [future.result() for future in futures]
