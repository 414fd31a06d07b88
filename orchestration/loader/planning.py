"""First step of a load: one pass over the file that checks its header and cuts it into ranges."""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from orchestration.loader.bounds import Sample, bounds
from orchestration.loader.errors import RefusedError
from orchestration.loader.layout import TRANSACTIONS
from orchestration.loader.records import (
    BLOCK_BYTES,
    MAX_LINE_BYTES,
    RECORD,
    count_lines,
    pieces,
    split_fields,
)
from orchestration.loader.storage import base_name, open_binary
from orchestration.warehouse.layouts import Layout, layout

DEFAULT_ROWS_PER_CHUNK = 100_000
MAX_CHUNKS = 512
MIN_RANGE_BYTES = 1 << 21
MAX_RANGES = 64  # each range writes a file per chunk
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Range:
    """A part of a file that begins and ends where records do."""

    number: int
    offset: int
    length: int
    line: int  # number of the first line in the file
    checksum: int


@dataclass(frozen=True)
class Survey:
    """What one reading of a file tells."""

    path: str
    table: str  # the landing table
    source_file: str  # base name of the path
    content_sha256: str
    columns: list[str]  # in the order of the file
    ranges: list[Range]
    rows: int  # at most
    sample: Sample


@dataclass(frozen=True)
class Plan:
    """How a file will be loaded. Small, whatever the size of the file, and JSON-serialisable."""

    path: str
    table: str
    source_file: str
    content_sha256: str
    columns: list[str]
    ranges: list[Range]
    chunk_count: int
    bounds: list[str]  # which ids go to which chunk; a character for each byte

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Plan:
        """Build a plan from what `dataclasses.asdict` made of one."""
        return cls(**{**fields, "ranges": [Range(**part) for part in fields["ranges"]]})


def plan(
    path: str,
    workers: int,
    rows_per_chunk: int = DEFAULT_ROWS_PER_CHUNK,
    table: str = TRANSACTIONS.table,
) -> Plan:
    """Return how to load one file, as `survey` and `plan_set` do for several."""
    return plan_set([survey(path, table)], workers, rows_per_chunk)[0]


def survey(path: str, table: str = TRANSACTIONS.table) -> Survey:
    """Read a file once, never holding it.

    Args:
        path: The CSV file.
        table: The landing table.

    Raises:
        RefusedError: The file cannot be read, is empty, or its header is not that of the layout.

    """
    try:
        with open_binary(path) as stream:
            return _survey(path, stream, layout(table))
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error.strerror}); give a CSV file") from error


def plan_set(surveys: Sequence[Survey], workers: int, rows_per_chunk: int) -> list[Plan]:
    """Return how to load files as one set: those of one table are cut into the same chunks.

    Args:
        surveys: What `survey` returned for each file.
        workers: How many processes will merge chunks.
        rows_per_chunk: About how many rows to merge in one transaction.

    """
    cuts = {
        table: _bounds([own for own in surveys if own.table == table], workers, rows_per_chunk)
        for table in {own.table for own in surveys}
    }
    has_rows = any(own.rows for own in surveys)
    chunk_count = max((len(cut) + 1 for cut in cuts.values()), default=0) if has_rows else 0
    return [
        Plan(
            path=own.path,
            table=own.table,
            source_file=own.source_file,
            content_sha256=own.content_sha256,
            columns=own.columns,
            ranges=own.ranges,
            chunk_count=chunk_count,
            bounds=cuts[own.table],
        )
        for own in surveys
    ]


def _bounds(surveys: Sequence[Survey], workers: int, rows_per_chunk: int) -> list[str]:
    """Return bounds for a number of chunks that keeps all workers busy until the end."""
    rows = sum(own.rows for own in surveys)
    rounds = math.ceil(rows / rows_per_chunk / workers)
    chunks = min(rounds * workers, rows, MAX_CHUNKS)
    return [bound.decode("latin-1") for bound in bounds((own.sample for own in surveys), chunks)]


def _survey(path: str, stream: BinaryIO, landing: Layout) -> Survey:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(MAX_LINE_BYTES)
    start, columns = _header(path, head, landing)
    digest = hashlib.sha256(head[:start])
    stream.seek(start)

    def read() -> bytes:
        block = stream.read(BLOCK_BYTES)
        digest.update(block)
        return block

    range_bytes = max(MIN_RANGE_BYTES, math.ceil((size - start) / MAX_RANGES))
    first_line = line = 1 + count_lines(head[:start])
    sample = Sample(columns.index(landing.key))
    ranges: list[Range] = []
    offset = end = start
    checksum, part_line = 0, line
    for piece in pieces(read, line):
        end += piece.size
        line = piece.line + piece.lines
        checksum = zlib.crc32(piece.data, checksum)
        sample.look_at(piece)
        if end - offset >= range_bytes:
            ranges.append(Range(len(ranges), offset, end - offset, part_line, checksum))
            offset, checksum, part_line = end, 0, line
    if end > offset:
        ranges.append(Range(len(ranges), offset, end - offset, part_line, checksum))
    return Survey(
        path=path,
        table=landing.table,
        source_file=base_name(path),
        content_sha256=digest.hexdigest(),
        columns=columns,
        ranges=ranges,
        rows=line - first_line,
        sample=sample,
    )


def _header(path: str, head: bytes, landing: Layout) -> tuple[int, list[str]]:
    """Return where the first record begins, and the columns in the order of the file."""
    if not head:
        raise RefusedError(f"{path} is empty; give a CSV file that begins with a header")
    begin = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    match = RECORD.match(head, begin) or RECORD.fullmatch(head + b"\n", begin)
    if not match:
        raise RefusedError(
            f"{path} is refused: a quote in its header never closes; mend the header"
        )
    names = [
        name.decode("utf-8", "backslashreplace") for name in split_fields(match[0].rstrip(b"\r\n"))
    ]
    faults = [
        f"{what} {_listed(columns)}"
        for what, columns in (
            ("missing", [column for column in landing.columns if column not in names]),
            ("unknown", [name for name in dict.fromkeys(names) if name not in landing.columns]),
            ("doubled", [name for name, count in Counter(names).items() if count > 1]),
        )
        if columns
    ]
    if faults:
        raise RefusedError(
            f"{path} is refused, nothing of it is landed: in its header {'; '.join(faults)};"
            f" the columns, in any order, are {', '.join(landing.columns)}"
        )
    return min(match.end(), len(head)), names


def _listed(names: list[str]) -> str:
    """Quote names for a message; what is no CSV file can have very many, or very long ones."""
    shown = [repr(name if len(name) <= 60 else f"{name[:60]}…") for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
