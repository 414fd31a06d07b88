r"""Second step of a load: one range of the file into chunk files, checked and ready for COPY.

A row goes to the chunk that its id names (`bounds`), never to one by position. So an id that stands
twice in a file meets itself in one chunk, where the later line wins whatever order the chunks are
merged in. Cut by position, a later line that equals what the lake already holds would leave no
trace, and the earlier line, merged afterwards, would win. And as chunks never share a key, their
merges neither deadlock nor collide.

Chunk files are in the text format of COPY: the file's columns in the file's order, then the line's
number. Values arrive in the lake exactly as they are in the file; an empty field is ''.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from orchestration.loader.errors import LoaderError
from orchestration.loader.planning import Plan, Range
from orchestration.loader.records import (
    BLOCK_BYTES,
    MAX_LINE_BYTES,
    RECORD,
    Kind,
    count_lines,
    pieces,
    split_fields,
)
from orchestration.loader.storage import open_binary
from orchestration.warehouse.layouts import layout

REJECTS = "rejects"
MAX_KEY_BYTES = 2000  # PostgreSQL refuses index entries from about 2700 bytes
BUFFER_BYTES = 1 << 23
ROW_BYTES = 100  # what Python adds to the bytes of each buffered row


@dataclass(frozen=True)
class Extract:
    """What became of one range; JSON-serialisable."""

    folder: str  # its chunk files and rejected rows
    rows_read: int
    rows_staged: int
    rows_rejected: int


def chunk_file(folder: str, chunk: int) -> Path:
    """Return the path of a chunk's file in an extract's folder; without rows there is none."""
    return Path(folder) / f"chunk-{chunk:05}"


def extract(plan: Plan, part: Range, folder: str) -> Extract:
    """Check the rows of one range and write them to a new sub-folder, a file for each chunk.

    A retry writes to a new sub-folder, so that a first try that still runs does no harm.

    Args:
        plan: The plan of the file.
        part: One of the plan's ranges.
        folder: An existing folder that the processes which load the chunks can read.

    Raises:
        LoaderError: The file is not the one that was planned, or cannot be read any more.

    """
    own = tempfile.mkdtemp(prefix=f"range-{part.number:05}-", dir=folder)
    extractor = _Extractor(plan, own)
    try:
        stream = open_binary(plan.path)
    except OSError as error:
        raise LoaderError(
            f"{plan.path} cannot be read any more ({error.strerror}); load it again"
        ) from error
    with stream:
        checksum = extractor.run(stream, part)
    if checksum != part.checksum:
        raise LoaderError(f"{plan.path} changed while it was loaded; load it again")
    return Extract(own, extractor.staged + extractor.rejected, extractor.staged, extractor.rejected)


class _Extractor:
    def __init__(self, plan: Plan, folder: str) -> None:
        self._folder = folder
        self._columns = len(plan.columns)
        self._key_name = layout(plan.table).key
        self._key = plan.columns.index(self._key_name)
        self._bounds = [bound.encode("latin-1") for bound in plan.bounds]
        self._chunks: list[list[bytes]] = [[] for _ in range(plan.chunk_count)]
        self._rejects: list[bytes] = []
        self.staged = 0
        self.rejected = 0

    def run(self, stream: BinaryIO, part: Range) -> int:
        """Extract a range and return the checksum of what was read."""
        checksum = buffered = 0
        for piece in pieces(_range_reader(stream, part), part.line):
            checksum = crc32(piece.data, checksum)
            match piece.kind:
                case Kind.PLAIN:
                    self._plain(piece.data, piece.line)
                case Kind.QUOTED:
                    line = piece.line
                    for record in RECORD.finditer(piece.data):
                        self._record(record[0].rstrip(b"\r\n"), line)
                        line += count_lines(record[0])
                case Kind.UNCLOSED:
                    self._reject(piece.data, piece.line, "quote opened and never closed")
                case Kind.TOO_LONG:
                    reason = f"line longer than {MAX_LINE_BYTES} bytes; raw_line is its beginning"
                    self._reject(piece.data, piece.line, reason)
            buffered += len(piece.data) + piece.lines * ROW_BYTES
            if buffered >= BUFFER_BYTES:
                self._flush()
                buffered = 0
        self._flush()
        return checksum

    def _plain(self, data: bytes, line: int) -> None:
        """Take lines that are records by themselves; fast where nothing needs an escape."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not _is_clean(data):
            for number, record in enumerate(data.split(b"\n"), line):
                self._record(record, number)
            return
        bounds, take = self._bounds, [chunk.append for chunk in self._chunks]
        key_field, separators = self._key, self._columns - 1
        staged = 0
        for number, row in enumerate(data.replace(b",", b"\t").split(b"\n"), line):
            if row.count(b"\t") == separators and len(row) <= MAX_KEY_BYTES:
                from_key = row.split(b"\t", key_field)[key_field] if key_field else row
                if b"!" <= from_key < b"\x7f":  # so the id is not blank
                    take[bisect_right(bounds, from_key)](b"%b\t%d" % (row, number))
                    staged += 1
                    continue
            self._record(row.replace(b"\t", b","), number)
        self.staged += staged

    def _record(self, record: bytes, line: int) -> None:
        """Take one record, given without its line end; a blank line is none."""
        if not record:
            return
        fields = split_fields(record)
        reason = self._fault(record, fields)
        if reason:
            self._reject(record, line, reason)
            return
        chunk = bisect_right(self._bounds, fields[self._key] + b"\t")
        if b"\n" in record or not _is_clean(record):
            fields = [escape(field) for field in fields]
        row = b"\t".join(fields)
        self._chunks[chunk].append(b"%b\t%d" % (row, line))
        self.staged += 1

    def _fault(self, record: bytes, fields: list[bytes]) -> str | None:
        """Return why a record cannot be landed, or None."""
        if b"\0" in record:
            return "NUL byte"
        if not _is_utf8(record):
            return "bytes that are not UTF-8"
        if len(fields) != self._columns:
            return f"wrong number of fields: {len(fields)}, expected {self._columns}"
        key = fields[self._key]
        if not key.decode().strip():
            return f"empty {self._key_name}"
        if len(key) > MAX_KEY_BYTES:
            return f"{self._key_name} longer than {MAX_KEY_BYTES} bytes"
        return None

    def _reject(self, record: bytes, line: int, reason: str) -> None:
        text = record.rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        self._rejects.append(b"%d\t%b\t%b" % (line, reason.encode(), escape(text.encode())))
        self.rejected += 1

    def _flush(self) -> None:
        """Append to the files; each is opened for that only, as there can be many."""
        for number, rows in enumerate(self._chunks):
            _append(chunk_file(self._folder, number), rows)
        _append(Path(self._folder) / REJECTS, self._rejects)


def _range_reader(stream: BinaryIO, part: Range) -> Callable[[], bytes]:
    stream.seek(part.offset)
    remaining = part.length

    def read() -> bytes:
        nonlocal remaining
        block = stream.read(min(BLOCK_BYTES, remaining))
        remaining -= len(block)
        return block

    return read


def _is_clean(data: bytes) -> bool:
    """Whether nothing but commas and line ends stands between the bytes and COPY's format."""
    return not (
        b"\\" in data or b"\t" in data or b"\0" in data or b"\r" in data or not _is_utf8(data)
    )


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def escape(value: bytes) -> bytes:
    """Return a value as the text format of COPY writes it."""
    return (
        value.replace(b"\\", b"\\\\")
        .replace(b"\t", b"\\t")
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
    )


def _append(path: Path, rows: list[bytes]) -> None:
    if rows:
        with path.open("ab") as file:
            file.write(b"\n".join(rows))
            file.write(b"\n")
        rows.clear()
