"""What is refused whole, and how a file is cut."""

import dataclasses
import hashlib
import json
from pathlib import Path
from unittest import mock

import pytest
from loader_reference import as_csv, row

from orchestration.loader import Plan, RefusedError
from orchestration.loader import plan as make_plan
from orchestration.loader.layout import COLUMNS


@pytest.fixture
def planned(tmp_path):
    def planned(data, workers=4, rows_per_chunk=100_000):
        path = tmp_path / "file.csv"
        path.write_bytes(data)
        return make_plan(str(path), workers, rows_per_chunk)

    return planned


HEADER = ",".join(COLUMNS).encode()


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (HEADER.replace(b"price,", b""), ["missing 'price'"]),
        (HEADER + b",colour,size", ["unknown 'colour', 'size'"]),
        (HEADER + b",price", ["doubled 'price'"]),
        (HEADER.replace(b"tax", b"tacks"), ["missing 'tax'", "unknown 'tacks'"]),
        (HEADER.replace(b"tax", b" tax"), ["missing 'tax'", "unknown ' tax'"]),
        (HEADER.replace(b"tax", b"\xe9"), ["missing 'tax'", r"unknown '\\xe9'"]),
        (HEADER + b",", ["unknown ''"]),
        (HEADER.replace(b",", b";"), ["missing 'transaction_id', 'customer_id'"]),
        (b"", ["is empty"]),
        (b"\n" + HEADER, ["missing 'transaction_id'"]),
        (b"\xff\xfe" + HEADER.decode().encode("utf-16-le"), ["missing 'transaction_id'"]),
        (b'"' + HEADER, ["quote in its header never closes"]),
        (b"x" * 5_000_000, ["missing 'transaction_id'", "unknown 'xxx"]),
        (b"x," * 3_000_000, ["doubled 'x'"]),
    ],
)
def test_a_wrong_header_is_refused_and_the_columns_are_named(planned, header, says):
    with pytest.raises(RefusedError) as refusal:
        planned(header + b"\n1\n" if header else b"")
    message = str(refusal.value)
    assert all(part in message for part in says)
    assert "\n" not in message
    assert len(message) < 2000


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_header_in_any_dress_is_understood(planned, end, mark, quote):
    names = list(reversed(COLUMNS))
    data = mark + b",".join(quote + name.encode() + quote for name in names) + end
    plan = planned(data)
    assert plan.columns == names
    assert plan.ranges == []
    assert plan.chunk_count == 0
    assert plan.content_sha256 == hashlib.sha256(data).hexdigest()


def test_ranges_cover_the_file_and_keep_the_count_of_lines(planned, tmp_path):
    rows = [row(i, customer_city="one\ntwo" if i % 3 else "one") for i in range(500)]
    data = as_csv(rows)
    with (
        mock.patch("orchestration.loader.planning.MIN_RANGE_BYTES", 1000),
        mock.patch("orchestration.loader.planning.BLOCK_BYTES", 777),
    ):
        plan = planned(data)
    assert 10 < len(plan.ranges) <= 65
    position = len(HEADER) + 1
    for part in plan.ranges:
        assert part.offset == position
        assert part.line == 1 + data[:position].count(b"\n")
        assert data[position:].split(b",")[0].isdigit()
        position += part.length
    assert position == len(data)


@pytest.mark.parametrize(
    ("rows", "workers", "rows_per_chunk", "chunks"),
    [
        (0, 4, 100, 0),
        (1, 4, 100, 1),
        (3, 4, 100, 3),
        (100, 4, 100_000, 4),
        (1000, 4, 100, 12),
        (1000, 1, 100, 10),
        (5000, 4, 1, 512),
    ],
)
def test_chunks_are_as_many_as_useful(planned, rows, workers, rows_per_chunk, chunks):
    data = as_csv([row(i) for i in range(rows)])
    assert planned(data, workers, rows_per_chunk).chunk_count == chunks


def test_a_plan_travels_as_json(planned):
    plan = planned(as_csv([row(1)]))
    assert Plan.from_dict(json.loads(json.dumps(dataclasses.asdict(plan)))) == plan


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path):
    with pytest.raises(RefusedError, match="No such file"):
        make_plan(str(tmp_path / "none.csv"), 4)
    with pytest.raises(RefusedError, match="directory"):
        make_plan(str(tmp_path), 4)


def test_an_odd_file_name_becomes_text(tmp_path):
    path = tmp_path / b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    Path(path).write_bytes(HEADER)
    assert make_plan(str(path), 1).source_file == r"caf\xe9.csv"
