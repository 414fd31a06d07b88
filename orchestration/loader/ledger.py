"""The ledger of loads: how a load begins, keeps its turn, and ends.

Whole loads are serial: one file, one load, one load time stamp. Were two loads merged at the same
time, a later one that agrees with what the lake held before would change nothing, leave no trace,
and the earlier one, merged afterwards, would win over it; no serial order of the two ends like
that. Two locks keep the order:

- **The turn**, an advisory lock of a session. The command line holds it for a whole load, so that
  the next load waits. It ends with the session, however that dies.
- **The fence**, for when nobody holds the turn: Airflow has no session that spans its tasks, and
  a process may outlive the load it belongs to. Each merge share-locks its load's ledger row and
  then looks whether a newer load exists; `begin_load` locks the rows of unfinished loads before
  it adds its own. So a merge ends before a newer load begins, or does not happen at all.

Files that arrive together may be loaded as one set: begun in one step, merged chunk by chunk, in
each chunk one file after the other. As a row goes to the chunk that its id names, and the files of
a set are cut alike, each id sees the files in their order; so the set ends as its files would,
loaded one by one. To the fence a set is one load.

A load found unfinished while the turn is free is dead. It keeps its ledger row, unfinished; what
it has merged stays, and loading its file again repairs the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from orchestration.loader.database import Connection
from orchestration.loader.errors import LoaderError
from orchestration.loader.extraction import REJECTS, Extract
from orchestration.loader.planning import Plan

TURN = 0x666F726578  # "forex": number of the advisory lock in the database of the lake
POLL_SECONDS = 0.2
COPY_BYTES = 1 << 18


@dataclass(frozen=True)
class Load:
    """A load that has begun; JSON-serialisable."""

    load_id: int
    table: str  # the landing table
    source_file: str
    columns: list[str]  # in the order of the file
    chunk_count: int
    set_end: int  # load_id of the last load of its set; its own when it was begun alone


@dataclass(frozen=True)
class LoadResult:
    """What a finished load did; JSON-serialisable. The first count is the sum of the others."""

    source_file: str
    rows_read: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_superseded: int
    rows_rejected: int


@contextmanager
def turn(connection: Connection, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the loaders' turn; may be nested on one connection.

    Polls, as a statement that waits in the server would fall to its time-out.

    Args:
        connection: An idle connection in autocommit mode.
        waiting: Called once when another load has the turn.

    """
    told = False
    while not _scalar(connection, "select pg_try_advisory_lock(%s)", TURN):
        if not told:
            waiting()
            told = True
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # a lost connection has given it back already
            connection.execute("select pg_advisory_unlock(%s)", [TURN])


def begin_load(connection: Connection, plan: Plan) -> Load:
    """Enter a load into the ledger; from then on no older load can merge anything.

    Args:
        connection: An idle connection in autocommit mode.
        plan: The plan of the file.

    """
    return begin_set(connection, [plan])[0]


def begin_set(connection: Connection, plans: Sequence[Plan]) -> list[Load]:
    """Enter the loads of a set of files into the ledger, in their order.

    Args:
        connection: An idle connection in autocommit mode.
        plans: What `plan_set` returned. Who merges a chunk merges it for one file after the
            other, in this order.

    """
    cuts = {(plan.table, tuple(plan.bounds)) for plan in plans}
    if len(cuts) > len(dict(cuts)) or len({plan.chunk_count for plan in plans}) > 1:
        raise ValueError("the files of a set must be cut alike: plan them together")
    with turn(connection), connection.transaction():
        connection.execute("set transaction isolation level read committed")
        connection.execute(
            "select from forex.load_ledger where finished_at is null order by load_id for update"
        )
        loads = [
            Load(
                load_id=_enter(connection, plan),
                table=plan.table,
                source_file=plan.source_file,
                columns=plan.columns,
                chunk_count=plan.chunk_count,
                set_end=0,
            )
            for plan in plans
        ]
    return [replace(load, set_end=loads[-1].load_id) for load in loads]


def _enter(connection: Connection, plan: Plan) -> int:
    load_id = _scalar(
        connection,
        # Strictly increasing, even when the clock is set back.
        """
        insert into forex.load_ledger
            (table_name, source_file, content_sha256, chunk_count, started_at)
        select %s, %s, %s, %s, greatest(
            clock_timestamp(),
            (select max(started_at) + interval '1 microsecond' from forex.load_ledger)
        )
        returning load_id
        """,
        plan.table,
        plan.source_file,
        plan.content_sha256,
        plan.chunk_count,
    )
    return int(str(load_id))


def pass_fence(connection: Connection, load: Load) -> datetime:
    """Make sure that a load, or its set, is the newest and unfinished, until the transaction ends.

    Returns the time stamp of the load.

    Args:
        connection: In a transaction of isolation level read committed.
        load: The load.

    Raises:
        LoaderError: It is finished, or a newer load took over.

    """
    locked = connection.execute(
        "select started_at from forex.load_ledger"
        " where load_id = %s and finished_at is null for share",
        [load.load_id],
    ).fetchone()
    # A statement of its own: its snapshot shows what committed while the lock was waited for.
    newer = _scalar(
        connection,
        "select exists (select from forex.load_ledger where load_id > %s)",
        load.set_end,
    )
    if not locked or newer:
        raise LoaderError(
            f"load {load.load_id} of {load.source_file} is over: it is finished, or a newer load"
            " took over; load the file again"
        )
    started_at: datetime = locked[0]
    return started_at


def finish_load(connection: Connection, load: Load, extracts: Sequence[Extract]) -> LoadResult:
    """Land the rejected rows and close the ledger's entry; a finished load just tells its counts.

    Args:
        connection: An idle connection in autocommit mode.
        load: The load, all chunks of which have been merged.
        extracts: What `extract` returned for each range.

    Raises:
        LoaderError: Chunks or rows are missing, or a newer load took over.

    """
    with connection.transaction():
        connection.execute("set transaction isolation level read committed")
        result = _finished(connection, load)
        if result:
            return result
        pass_fence(connection, load)
        _check_complete(connection, load, extracts)
        _land_rejects(connection, load, extracts)
        connection.execute(
            """
            update forex.load_ledger set
                rows_read = %s,
                rows_inserted = chunks.rows_inserted,
                rows_updated = chunks.rows_updated,
                rows_unchanged = chunks.rows_unchanged,
                rows_superseded = chunks.rows_superseded,
                rows_rejected = %s,
                finished_at = clock_timestamp()
            from (
                select
                    coalesce(sum(rows_inserted), 0) as rows_inserted,
                    coalesce(sum(rows_updated), 0) as rows_updated,
                    coalesce(sum(rows_unchanged), 0) as rows_unchanged,
                    coalesce(sum(rows_superseded), 0) as rows_superseded
                from forex.load_chunk where load_id = %s
            ) as chunks
            where load_id = %s
            """,
            [
                sum(extract.rows_read for extract in extracts),
                sum(extract.rows_rejected for extract in extracts),
                load.load_id,
                load.load_id,
            ],
        )
        result = _finished(connection, load)
    assert result  # noqa: S101 - written by this transaction
    return result


def _finished(connection: Connection, load: Load) -> LoadResult | None:
    row = connection.execute(
        "select source_file, rows_read, rows_inserted, rows_updated, rows_unchanged,"
        " rows_superseded, rows_rejected from forex.load_ledger"
        " where load_id = %s and finished_at is not null",
        [load.load_id],
    ).fetchone()
    return LoadResult(*row) if row else None


def _check_complete(connection: Connection, load: Load, extracts: Sequence[Extract]) -> None:
    counts = connection.execute(
        "select count(*), coalesce(sum(rows_staged), 0) from forex.load_chunk where load_id = %s",
        [load.load_id],
    ).fetchone()
    expected = (load.chunk_count, sum(extract.rows_staged for extract in extracts))
    if counts != expected:
        raise LoaderError(
            f"load {load.load_id} of {load.source_file} is not complete: chunks and rows are"
            f" {counts}, expected {expected}; load the file again"
        )


def _land_rejects(connection: Connection, load: Load, extracts: Sequence[Extract]) -> None:
    """Land the rejected rows; those that an earlier load has told already stay as they are."""
    files = [Path(extract.folder) / REJECTS for extract in extracts if extract.rows_rejected]
    if not files:
        return
    connection.execute(
        "create temporary table file_rejects (source_line bigint, reason text, raw_line text)"
        " on commit drop"
    )
    copy_files(
        connection,
        sql.SQL("copy pg_temp.file_rejects from stdin with (encoding 'UTF8')"),
        files,
    )
    connection.execute(
        """
        insert into forex.rejected_row
            (table_name, source_file, source_line, reason, raw_line, load_timestamp)
        select %s, %s, rejects.source_line, rejects.reason, rejects.raw_line, ledger.started_at
        from pg_temp.file_rejects as rejects
        inner join forex.load_ledger as ledger on ledger.load_id = %s
        order by rejects.source_line
        on conflict do nothing
        """,
        [load.table, load.source_file, load.load_id],
    )


def copy_files(
    connection: Connection, statement: sql.SQL | sql.Composed, files: Sequence[Path]
) -> int:
    """Stream files in COPY's text format to a COPY statement, as if they were one.

    Returns the number of rows, as the server counted them.
    """
    return copy_blocks(connection, statement, blocks_of(files))


def blocks_of(files: Sequence[Path]) -> Iterator[bytes]:
    """Yield the content of files, block by block."""
    for path in files:
        with path.open("rb") as file:
            while block := file.read(COPY_BYTES):
                yield block


def copy_blocks(
    connection: Connection, statement: sql.SQL | sql.Composed, blocks: Iterable[bytes]
) -> int:
    """Stream blocks of bytes to a COPY statement; return the number of rows."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for block in blocks:
                copy.write(block)
        return cursor.rowcount


def _scalar(connection: Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
