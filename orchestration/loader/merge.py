"""Third step of a load: one chunk into the lake, in one transaction.

There are two ways in. A chunk of new ids only, each once, is copied straight into the table: half
the work of a merge, as no row passes through a staging table, a sort and a look-up of its own, and
COPY writes rows by the page. Every other chunk is merged.
"""

from __future__ import annotations

import dataclasses
import random
import re
import time
from collections.abc import Sequence
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
from orchestration.loader.ledger import COPY_BYTES, Load, copy_blocks, copy_files, pass_fence
from orchestration.warehouse.layouts import layout

ATTEMPTS = 5
MAX_LOOKED_THROUGH_BYTES = 1 << 25  # a chunk of more is merged unseen: memory stays flat
# Another writer of the same rows came in between; with the next try it no longer is.
_PASSING = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
)


_CREATE_STAGING = """
    create temporary table file_rows (source_line bigint, {staged_columns}) on commit drop
"""

# Where an id stands twice in the file, the later line wins. Sorted by key, as all loaders do, so
# that writers of the same rows queue up instead of blocking each other.
_MERGE = """
    with merged as (
        merge into {landing_table} as lake
        using (
            select distinct on ({key}) * from pg_temp.file_rows order by {key}, source_line desc
        ) as file
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
        (select count(*) from (select from pg_temp.file_rows group by {key}) as ids),
        count(*) filter (where action = 'INSERT'),
        count(*) filter (where action = 'UPDATE')
    from merged
"""

# A look-up for each id, as a condition of its own: a join might be turned round, and read the lake.
_ANY_KNOWN = """
    select exists (
        select from unnest(string_to_array(%s, E'\\n')) as file (id)
        where (select true from {landing_table} as lake where lake.{key} = file.id)
    )
"""

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
            return _load_chunk(connection, load, chunk, files)
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
    connection: Connection, load: Load, chunk: int, files: Sequence[Path]
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
        if is_distributed(connection):  # which ids are new is known to no shard alone
            counts = _merge(connection, load, files, load_timestamp, UPSERT)
        else:
            counts = _insert(connection, load, files, load_timestamp) or _merge(
                connection, load, files, load_timestamp, _MERGE
            )
        result = ChunkResult(chunk, *counts)
        connection.execute(
            "insert into forex.load_chunk (load_id, chunk, rows_staged, rows_inserted,"
            " rows_updated, rows_unchanged, rows_superseded) values (%s, %s, %s, %s, %s, %s, %s)",
            [load.load_id, *dataclasses.astuple(result)],
        )
    return result


Counts = tuple[int, int, int, int, int]  # staged, inserted, updated, unchanged, superseded


def _insert(
    connection: Connection, load: Load, files: Sequence[Path], load_timestamp: datetime
) -> Counts | None:
    """Copy a chunk into the lake if all its ids are new and stand there once; else do nothing.

    Should another writer land one of the ids meanwhile, the key makes COPY fail, and the next
    attempt merges.
    """
    if sum(file.stat().st_size for file in files) > MAX_LOOKED_THROUGH_BYTES:
        return None
    rows = b"".join(file.read_bytes() for file in files)
    landing = layout(load.table)
    before = load.columns.index(landing.key)
    ids = re.findall(rb"[0-9]+\t" + rb"[^\t\n]*\t" * before + rb"([^\t\n]*)[^\n]*\n", rows)
    together = b"\n".join(ids)
    # Escaped ids are left to the merge.
    if not ids or len(set(ids)) < len(ids) or b"\\" in together:
        return None
    connection.execute(_BY_INDEX)
    known = connection.execute(statement(_ANY_KNOWN, landing), [together.decode()]).fetchone()
    assert known  # noqa: S101 - an expression has a row
    if known[0]:
        return None
    # The same for each row, and so put at the end of each line.
    lineage = b"\t%b\t%b\n" % (
        escape(load.source_file.encode()),
        load_timestamp.isoformat().encode(),
    )
    staged = copy_blocks(
        connection,
        sql.SQL(
            "copy {} (source_line, {}, source_file, load_timestamp)"
            " from stdin with (encoding 'UTF8')"
        ).format(sql.Identifier("forex", landing.table), names(*load.columns)),
        (
            rows[at : at + COPY_BYTES].replace(b"\n", lineage)
            for at in range(0, len(rows), COPY_BYTES)
        ),
    )
    return staged, staged, 0, 0, 0


def _merge(
    connection: Connection,
    load: Load,
    files: Sequence[Path],
    load_timestamp: datetime,
    merge: str,
) -> Counts:
    landing = layout(load.table)
    connection.execute(statement(_CREATE_STAGING, landing))
    staged = copy_files(
        connection,
        sql.SQL(
            "copy pg_temp.file_rows (source_line, {}) from stdin with (encoding 'UTF8')"
        ).format(names(*load.columns)),
        files,
    )
    connection.execute(_BY_INDEX)
    counts = connection.execute(
        statement(merge, landing),
        {"source_file": load.source_file, "load_timestamp": load_timestamp},
    ).fetchone()
    assert counts  # noqa: S101 - an aggregate has a row
    distinct, inserted, updated = counts
    return staged, inserted, updated, distinct - inserted - updated, staged - distinct
