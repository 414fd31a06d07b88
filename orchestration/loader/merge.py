"""Third step of a load: one chunk into the lake, in one transaction.

There are two ways in. A chunk whose ids lie where the lake has none is copied straight into the
table: half the work of a merge, as no row passes through a staging table and a look-up of its own,
and COPY writes rows by the page. Every other chunk is merged.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from orchestration.loader.database import Connection
from orchestration.loader.distributed import UPSERT, is_distributed
from orchestration.loader.errors import LoaderError
from orchestration.loader.extraction import Extract, chunk_file, escape
from orchestration.loader.layout import names, statement
from orchestration.loader.ledger import Load, blocks_of, copy_blocks, pass_fence
from orchestration.warehouse.layouts import layout

ATTEMPTS = 5
MAX_SORTED_BYTES = 20 << 20  # the server sorts a chunk of more: memory stays flat
ROWS_PER_BLOCK = 1000
# Another writer of the same rows came in between, or a database that does not sort by bytes has
# ids where it said that there were none. With the next try, which merges, it no longer matters.
_PASSING = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
)


_CREATE_STAGING = """
    create temporary table file_rows ({staged_columns}, source_line bigint) on commit drop
"""

# Rows come sorted by key, as from all loaders, so that writers of the same rows queue up instead
# of blocking each other.
_MERGE = """
    with merged as (
        merge into {landing_table} as lake
        using {file_rows} as file
        on lake.{key} = file.{key}
        when matched and ({lake_values}) is distinct from ({file_values}) then
            update set
                ({values}, source_file, source_line, load_timestamp)
                = ({file_values}, %(source_file)s, file.source_line, %(load_timestamp)s)
        when not matched then
            insert ({columns}, source_file, source_line, load_timestamp)
            values ({file_columns}, %(source_file)s, file.source_line, %(load_timestamp)s)
        returning merge_action() as action
    )
    select
        count(*) filter (where action = 'INSERT'),
        count(*) filter (where action = 'UPDATE')
    from merged
"""

# What is merged: rows that are sorted already, each id once, or any.
_SORTED = "pg_temp.file_rows"
_ANY = """(
    select distinct on ({key}) * from pg_temp.file_rows order by {key}, source_line desc
)"""

_COUNT_IDS = "select count(*) from (select from pg_temp.file_rows group by {key}) as ids"

_ANY_BETWEEN = "select exists (select from {landing_table} where {key} between %s and %s)"

# One look-up in the index for each row: what a load costs follows the file, not the lake. Left to
# itself the planner may scan the lake for each row: planned while the lake was empty, that seems
# free, but other chunks are filling it at the same time.
_BY_INDEX = """
    set local enable_hashjoin = off;
    set local enable_mergejoin = off;
    set local enable_seqscan = off;
    set local enable_bitmapscan = off;
    set local work_mem = '64MB';
"""


@dataclass(frozen=True)
class ChunkResult:
    """What merging a chunk did; JSON-serialisable. The first count is the sum of the others."""

    chunk: int
    rows_staged: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_superseded: int


def load_chunk(
    connection: Connection, load: Load, chunk: int, extracts: Sequence[Extract]
) -> ChunkResult:
    """Merge one chunk: all of it, or nothing. A chunk that is merged already just tells its counts.

    Args:
        connection: An idle connection in autocommit mode.
        load: The load.
        chunk: Number of the chunk, from 0.
        extracts: What `extract` returned for each range.

    Raises:
        LoaderError: A newer load took over, or the chunk files are gone.
        psycopg.Error: The server refused, also after retries where these may help.

    """
    files = [file for extract in extracts if (file := _existing(extract, chunk))]
    attempt = 1
    while True:
        try:
            return _load_chunk(connection, load, chunk, files, straight=attempt == 1)
        except _PASSING:
            if attempt == ATTEMPTS:
                raise
        time.sleep(random.uniform(0.05, 0.1) * 2**attempt)  # noqa: S311 - not a secret
        attempt += 1


def _existing(extract: Extract, chunk: int) -> Path | None:
    file = chunk_file(extract.folder, chunk)
    if file.exists():
        return file
    if not file.parent.is_dir():
        raise LoaderError(f"the chunk files in {file.parent} are gone; load the file again")
    return None


def _load_chunk(
    connection: Connection, load: Load, chunk: int, files: Sequence[Path], *, straight: bool
) -> ChunkResult:
    with connection.transaction():
        connection.execute("set transaction isolation level read committed")
        load_timestamp = pass_fence(connection, load)
        known = connection.execute(
            "select chunk, rows_staged, rows_inserted, rows_updated, rows_unchanged,"
            " rows_superseded from forex.load_chunk where load_id = %s and chunk = %s",
            [load.load_id, chunk],
        ).fetchone()
        if known:
            return ChunkResult(*known)
        result = ChunkResult(
            chunk, *_land(connection, load, files, load_timestamp, straight=straight)
        )
        connection.execute(
            "insert into forex.load_chunk (load_id, chunk, rows_staged, rows_inserted,"
            " rows_updated, rows_unchanged, rows_superseded) values (%s, %s, %s, %s, %s, %s, %s)",
            [load.load_id, *dataclasses.astuple(result)],
        )
    return result


Counts = tuple[int, int, int, int, int]  # staged, inserted, updated, unchanged, superseded


def _land(
    connection: Connection,
    load: Load,
    files: Sequence[Path],
    load_timestamp: datetime,
    *,
    straight: bool,
) -> Counts:
    landing = layout(load.table)
    connection.execute(_BY_INDEX)
    if sum(file.stat().st_size for file in files) > MAX_SORTED_BYTES:
        staged, inserted, updated = _merge(connection, load, blocks_of(files), _ANY, load_timestamp)
        counted = connection.execute(statement(_COUNT_IDS, landing)).fetchone()
        assert counted  # noqa: S101 - an aggregate has a row
        ids: int = counted[0]
        return staged, inserted, updated, ids - inserted - updated, staged - ids
    staged, latest = _latest_rows(files, load.columns.index(landing.key))
    in_order = sorted(latest)
    rows = [latest[key] for key in in_order]
    # On a cluster no shard alone knows which ids are new.
    if straight and rows and not is_distributed(connection):
        near = [in_order[0].decode(), in_order[-1].decode()]
        known = connection.execute(statement(_ANY_BETWEEN, landing), near).fetchone()
        if known == (False,):
            _insert(connection, load, rows, load_timestamp)
            return staged, len(rows), 0, 0, staged - len(rows)
    ids, inserted, updated = _merge(connection, load, _blocks(rows, b"\n"), _SORTED, load_timestamp)
    return staged, inserted, updated, ids - inserted - updated, staged - ids


def _latest_rows(files: Sequence[Path], key_field: int) -> tuple[int, dict[bytes, bytes]]:
    """Return the number of rows, and by id the one that wins: that of the latest line."""
    staged = 0
    latest: dict[bytes, bytes] = {}
    for file in files:
        rows = file.read_bytes().split(b"\n")
        rows.pop()  # what is after the last line end
        staged += len(rows)
        # In a file of rows a later line comes later.
        found = {row.split(b"\t", key_field + 1)[key_field]: row for row in rows}
        for key in latest.keys() & found.keys():
            found[key] = max(latest[key], found[key], key=_line)
        latest |= found
    return staged, latest


def _line(row: bytes) -> int:
    return int(row[row.rindex(b"\t") :])


def _blocks(rows: Sequence[bytes], end: bytes) -> Iterator[bytes]:
    for at in range(0, len(rows), ROWS_PER_BLOCK):
        yield end.join(rows[at : at + ROWS_PER_BLOCK]) + end


def _insert(
    connection: Connection, load: Load, rows: Sequence[bytes], load_timestamp: datetime
) -> None:
    """Copy rows straight into the lake. Should one be there after all, the key makes it fail."""
    # The same for each row, and so put at the end of each line.
    lineage = b"\t%b\t%b\n" % (
        escape(load.source_file.encode()),
        load_timestamp.isoformat().encode(),
    )
    copy_blocks(
        connection,
        sql.SQL(
            "copy {} ({}, source_line, source_file, load_timestamp)"
            " from stdin with (encoding 'UTF8')"
        ).format(sql.Identifier("forex", load.table), names(*load.columns)),
        _blocks(rows, lineage),
    )


def _merge(
    connection: Connection,
    load: Load,
    blocks: Iterable[bytes],
    file_rows: str,
    load_timestamp: datetime,
) -> tuple[int, int, int]:
    """Stage rows and merge them; return how many were staged, inserted and updated."""
    landing = layout(load.table)
    connection.execute(statement(_CREATE_STAGING, landing))
    staged = copy_blocks(
        connection,
        sql.SQL(
            "copy pg_temp.file_rows ({}, source_line) from stdin with (encoding 'UTF8')"
        ).format(names(*load.columns)),
        blocks,
    )
    merge = UPSERT if is_distributed(connection) else _MERGE
    counts = connection.execute(
        statement(merge.replace("{file_rows}", file_rows), landing),
        {"source_file": load.source_file, "load_timestamp": load_timestamp},
    ).fetchone()
    assert counts  # noqa: S101 - an aggregate has a row
    return staged, *counts
