r"""What a record is, by the bytes.

The rules are those of Python's `csv.reader` over a file opened with ``newline=""``: commas
separate; a field that begins with a quote ends at the next quote that is not doubled, and may
hold commas and line ends; a quote anywhere else is a plain character. ``\n``, ``\r\n`` and a lone
``\r`` end a line. An entirely blank line is no record. Two rules are our own:

- A quote that never closes would swallow the rest of the file. A record of several lines that
  reaches the end of the file with its quote open, or grows beyond `MAX_RECORD_BYTES`, is given
  up: its first line alone is bad, and reading resumes on the next line.
- A line beyond `MAX_LINE_BYTES` is bad, so that memory stays flat on any file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

BLOCK_BYTES = 1 << 18
MAX_RECORD_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 22

# No possessive quantifiers: those of Python 3.11.0 to 3.11.4 mismatch. The look-ahead makes the
# patterns unambiguous, so that a failing match takes linear time all the same.
_END = rb"(?:\r\n?|\n)"
_QUOTED = rb'"([^"]*(?:""[^"]*)*)"(?!")'
_FIELD = rb'(?:"[^"]*(?:""[^"]*)*"(?!")[^,\r\n]*|[^",\r\n][^,\r\n]*|)'
_RECORD = rb'(?:[^"\r\n]*' + _END + rb"|" + _FIELD + rb"(?:," + _FIELD + rb")*" + _END + rb")"

LINE_END = re.compile(_END)
RECORD = re.compile(_RECORD)
_RECORDS = re.compile(_RECORD + rb"{1,500}")  # bounded: each repetition costs memory
_FIELDS = re.compile(rb",(?:" + _QUOTED + rb"([^,]*)|([^,]*))")


class Kind(Enum):
    """What a piece of a file holds."""

    PLAIN = auto()  # lines that are records by themselves: no quote, no lone CR
    QUOTED = auto()  # records, to be told apart by RECORD
    UNCLOSED = auto()  # one bad line: the first of a record whose quote never closes
    TOO_LONG = auto()  # one bad line, of which `data` is the beginning


class Piece(NamedTuple):
    """Consecutive bytes of a file that begin and end where records do."""

    kind: Kind
    data: bytes
    size: int  # bytes in the file; one more than there are when the last line has no end
    line: int  # number of the first line
    lines: int


def pieces(read: Callable[[], bytes], line: int) -> Iterator[Piece]:
    """Cut a stream into pieces, holding no more than about a record and a block of it.

    Args:
        read: Returns the next block of bytes; empty at the end.
        line: Number of the line that the stream begins with.

    """
    data = b""
    dropped = 0  # bytes cut out of the middle of a line that is too long
    ended = False
    while not ended:
        blocks, wanted = [data], max(1, len(data))
        # As much again as is there: so a long record is not scanned over and over.
        while wanted > 0 and (block := read()):
            blocks.append(block)
            wanted -= len(block)
        data = b"".join(blocks)
        ended = wanted > 0
        if ended and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        # A CR at the end may be the first half of a CRLF.
        limit = len(data) if ended else len(data) - data.endswith(b"\r")
        at = 0
        while at < limit and (piece := _next(data, at, limit, line, ended)):
            yield piece._replace(size=piece.size + dropped) if dropped else piece
            at += piece.size
            line += piece.lines
            dropped = 0
        data = data[at:]
        if len(data) > MAX_LINE_BYTES + 1:
            kept = data[:MAX_LINE_BYTES] + (b"\r" if data.endswith(b"\r") else b"")
            dropped += len(data) - len(kept)
            data = kept


def _next(data: bytes, at: int, limit: int, line: int, ended: bool) -> Piece | None:
    """Return the piece that begins at `at`, or None when more bytes are needed to tell."""
    oversize = limit - at > MAX_RECORD_BYTES
    end_of_line = LINE_END.search(data, at, limit)
    if not end_of_line:
        return None
    if oversize:
        match = RECORD.match(data, at, limit)
        if match and _is_bounded(match[0]):
            return _piece(Kind.QUOTED, match[0], line)
    elif _is_plain(data, at, limit):
        return _piece(Kind.PLAIN, data[at : data.rfind(b"\n", at, limit) + 1], line)
    elif match := _RECORDS.match(data, at, limit):
        return _piece(Kind.QUOTED, match[0], line)
    if not (oversize or ended):
        return None
    size = end_of_line.end() - at
    if size > MAX_LINE_BYTES:
        return Piece(Kind.TOO_LONG, data[at : at + MAX_LINE_BYTES], size, line, 1)
    return Piece(Kind.UNCLOSED, data[at : end_of_line.end()], size, line, 1)


def _is_bounded(record: bytes) -> bool:
    return len(record) <= MAX_RECORD_BYTES or (
        len(record) <= MAX_LINE_BYTES and count_lines(record) == 1
    )


def _is_plain(data: bytes, at: int, limit: int) -> bool:
    return data.find(b'"', at, limit) < 0 and (
        data.find(b"\r", at, limit) < 0
        or data.count(b"\r", at, limit) == data.count(b"\r\n", at, limit)
    )


def _piece(kind: Kind, data: bytes, line: int) -> Piece:
    return Piece(kind, data, len(data), line, count_lines(data))


def count_lines(data: bytes) -> int:
    """Return the number of line ends in `data`."""
    lines = data.count(b"\n")
    return lines + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else lines


def split_fields(record: bytes) -> list[bytes]:
    """Return the values of one record, given without its line end."""
    if b'"' not in record:
        return record.split(b",")
    return [
        plain or quoted.replace(b'""', b'"') + rest
        for quoted, rest, plain in _FIELDS.findall(b"," + record)
    ]
