"""Where records begin and end: as csv.reader says, however the bytes arrive."""

import csv
import io
import tracemalloc
from unittest import mock

import loader_reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.loader import records
from orchestration.loader.records import RECORD, Kind, count_lines, pieces, split_fields

hostile = st.text(alphabet='",\r\na\té\0\\', max_size=60).map(str.encode)


def cut(data, block=1 << 18, line=1):
    """Return (line, record without its end, fields or None) as the loader sees them."""
    blocks = [data[i : i + block] for i in range(0, len(data), block)]
    result, size = [], 0
    for piece in pieces(lambda: blocks.pop(0) if blocks else b"", line):
        assert piece.line == line + count_lines(data[:size])
        size += piece.size
        if piece.kind in (Kind.UNCLOSED, Kind.TOO_LONG):
            result.append((piece.line, piece.data.rstrip(b"\r\n"), None))
            continue
        number = piece.line
        for match in RECORD.finditer(piece.data):
            record = match[0].rstrip(b"\r\n")
            if record:
                result.append((number, record, split_fields(record)))
            number += count_lines(match[0])
        assert number == piece.line + piece.lines
        if piece.kind is Kind.PLAIN:
            assert b'"' not in piece.data
    assert size in (len(data), len(data) + 1)
    return result


@given(hostile)
def test_agrees_with_csv_reader(data):
    ours = cut(data)
    if any(fields is None for *_, fields in ours):
        return  # a quote that never closes: csv.reader and the loader differ on purpose
    theirs = csv.reader(io.StringIO(data.decode(), newline=""))
    assert [[f.decode() for f in fields] for *_, fields in ours] == [row for row in theirs if row]


@given(hostile, st.integers(1, 20), st.integers(3, 30), st.integers(0, 20))
def test_agrees_with_the_reference_in_blocks_of_any_size(data, block, limit, more):
    limits = (limit, limit + more)
    with (
        mock.patch.object(records, "MAX_RECORD_BYTES", limits[0]),
        mock.patch.object(records, "MAX_LINE_BYTES", limits[1]),
    ):
        ours = cut(data, block, line=7)
    theirs = [
        (line, raw[: limits[1]] if fields is None else raw, fields)
        for line, raw, fields in loader_reference.read(data, 7, limits)
    ]
    assert ours == theirs


def test_memory_stays_flat_on_a_line_without_end():
    def read():
        nonlocal count
        count -= 1
        return b"x" * (1 << 18) if count else b""

    count = 80
    tracemalloc.start()
    try:
        (piece,) = pieces(read, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert piece.kind is Kind.TOO_LONG
    assert len(piece.data) == records.MAX_LINE_BYTES
    assert piece.size == 79 * (1 << 18) + 1
    assert peak < 6 * records.MAX_LINE_BYTES


@pytest.mark.parametrize("body", [b'"' + b'""' * 2_000_000, b'a,"' * 400_000, b'"\n' * 400_001])
def test_time_stays_linear_on_quotes_that_never_close(body):
    assert sum(len(raw) for _, raw, _ in cut(body))
