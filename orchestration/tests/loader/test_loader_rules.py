"""Each landing rule, on a real server."""

import csv
import datetime
import hashlib
import random
import shutil
from unittest import mock

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loader_reference import LIMITS, Model, as_csv, row

from orchestration.loader import (
    LoaderError,
    begin_load,
    extract,
    finish_load,
    load_chunk,
    merge,
    plan,
)
from orchestration.loader.extraction import chunk_file
from orchestration.loader.layout import COLUMNS, TRANSACTIONS, statement
from orchestration.tests.support import empty_lake

HEADER = ",".join(COLUMNS).encode() + b"\n"


def line(key, **values):
    return ",".join(row(key, **values).values()).encode()


def test_rows_are_landed_as_they_are_with_their_lineage(loading):
    result = loading([row(1, quantity="", tax=" 1.50 "), row(2)])
    model = Model()
    model.load("file.csv", as_csv([row(1, quantity="", tax=" 1.50 "), row(2)]))
    loading.must_equal(model)
    assert loading.value("1", "quantity") == ""
    assert result.rows_inserted == 2
    stamps = loading.lake.execute(
        "select distinct load_timestamp, started_at from forex.customer_transactions,"
        " forex.load_ledger"
    ).fetchall()
    assert len(stamps) == 1
    assert stamps[0][0] == stamps[0][1]


@pytest.mark.parametrize(
    "value",
    [
        "O'Brien",
        "'); DROP TABLE forex.customer_transactions; --",
        "{{ 1/0 }}",
        "%s %(name)s %",
        "\\N",
        "\\.",
        "\\",
        "a\\tb\tc\\\\",
        "one\ntwo\r\nthree\rfour\n",
        'say "hello", twice ""',
        "😀 ﷽ Zürich",
        " \u00a0padded\u3000 ",
        "x" * 100_000,
        "",
    ],
)
def test_a_value_arrives_exactly(loading, value):
    rows = [row("plain"), row("hostile", **dict.fromkeys(COLUMNS[1:], value)), row("after")]
    loading(rows)
    assert loading.rows()["hostile"][0] == ("hostile", *[value] * 13)
    assert loading.rows().keys() == {"plain", "hostile", "after"}
    if len(value) < 1000 and value.strip():
        loading([row(value)])
        assert loading.rows()[value][0] == tuple(row(value).values())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", " 2", "é", "\\N"]),
            *[st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))]
            * 3,
        ),
        max_size=8,
    ),
    # Up to Python 3.12, csv.writer leaves a lone CR unquoted where it is no part of the line end.
    st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]),
)
def test_what_csv_writer_writes_arrives_field_for_field(loading, rows, style):
    quoting, end = style
    loading.lake.execute("truncate forex.customer_transactions")
    full = [(key, *values, *[""] * 10) for key, *values in rows]
    loading(as_csv(full, quoting=quoting, lineterminator=end))
    assert {key: found[0] for key, found in loading.rows().items()} == {r[0]: r for r in full}


def test_the_order_of_columns_is_free(loading):
    columns = [*COLUMNS[5:], *reversed(COLUMNS[:5])]
    loading(as_csv([row(1), row(2, customer_city="a\\b")], columns))
    assert loading.rows()["1"][0] == tuple(row(1).values())
    assert loading.rows()["2"][0] == tuple(row(2, customer_city="a\\b").values())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_and_line_ends_do_not_matter(loading, mark, end):
    rows = [row(1, product_name="a, b"), row(2, tax="line\nbreak"), row(3)]
    loading(mark + as_csv(rows, lineterminator=end, quoting=csv.QUOTE_ALL) + end.encode() * 2)
    assert {k: v[0] for k, v in loading.rows().items()} == {
        r["transaction_id"]: tuple(r.values()) for r in rows
    }
    assert {key: found[2] for key, found in loading.rows().items()} == {"1": 2, "2": 3, "3": 5}


def test_the_last_line_needs_no_end_and_blank_lines_are_no_rows(loading):
    result = loading(HEADER + b"\n\n" + line(1) + b"\n\n" + line(2))
    assert {k: v[2] for k, v in loading.rows().items()} == {"1": 4, "2": 6}
    assert result.rows_read == 2


def test_a_stray_quote_is_a_plain_character(loading):
    loading(HEADER + line(1, tax='5" pipe "x"') + b"\n" + line(2, tax='"a"b"c') + b"\n")
    assert loading.value("1", "tax") == '5" pipe "x"'
    assert loading.value("2", "tax") == 'ab"c'


@pytest.mark.parametrize(
    ("bad", "reason", "raw"),
    [
        (b"1,2,3", "wrong number of fields: 3, expected 14", "1,2,3"),
        (b"x" + b"," * 14, "wrong number of fields: 15, expected 14", "x" + "," * 14),
        (b" ", "wrong number of fields: 1, expected 14", " "),
        (b"," * 13, "empty transaction_id", "," * 13),
        (line(" \t"), "empty transaction_id", None),
        (line("\u00a0\u3000"), "empty transaction_id", None),
        (b'""' + b"," * 13, "empty transaction_id", '""' + "," * 13),
        (b"k" * 2001 + b"," * 13, "transaction_id longer than 2000 bytes", None),
        (b"a\0b" + b"," * 13, "NUL byte", "a\\x00b" + "," * 13),
        ("café".encode("latin-1") + b"," * 13, "bytes that are not UTF-8", None),
        (b"1\xed\xa0\x80" + b"," * 13, "bytes that are not UTF-8", None),
        (b'"a\\\t\nb","' + b"\xff" + b'"', "bytes that are not UTF-8", '"a\\\t\nb","\\xff"'),
        (line(9, tax='"open'), "quote opened and never closed", None),
        (b'"' + b"," * 13, "quote opened and never closed", '"' + "," * 13),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_one_bad_row_never_stops_its_file(loading, bad, reason, raw, end):
    data = end.join([HEADER.rstrip(), line(1), bad, line(2), line(3), b""])
    result = loading(data)
    assert loading.rows().keys() == {"1", "2", "3"}
    assert {key: found[2] for key, found in loading.rows().items()}["1"] == 2
    ((name, number, found, text),) = loading.rejected()
    assert (name, number, found) == ("file.csv", 3, reason)
    assert text == (bad.decode("utf-8", "backslashreplace") if raw is None else raw)
    assert (result.rows_read, result.rows_inserted, result.rows_rejected) == (4, 3, 1)


def test_an_open_quote_does_not_reach_beyond_its_line(loading):
    """Not even when the next quote of the file is more than a record may be long away."""
    filler = [line(i) for i in range(5_000)]
    data = HEADER + line("bad", tax='"open') + b"\n" + b"\n".join(filler) + b"\n"
    loading(data + line("last", tax='"closed"') + b"\n")
    assert len(loading.rows()) == 5_001
    assert loading.reasons() == {2: "quote opened and never closed"}
    assert loading.rows()["last"][2] == 5_003


def test_a_line_beyond_all_bounds_is_rejected_alone(loading):
    data = HEADER + line(1) + b"\n2," + b"x" * 5_000_000 + b"," * 12 + b"\n" + line(3) + b"\n"
    loading(data)
    assert loading.rows().keys() == {"1", "3"}
    ((_, number, reason, text),) = loading.rejected()
    assert number == 3
    assert reason.startswith("line longer than 4194304 bytes")
    assert text == "2," + "x" * (4_194_304 - 2)


def test_a_long_incompressible_id_fits(loading):
    rng = random.Random(1)
    key = "".join(chr(33 + int(rng.random() * 90)) for _ in range(2000)).replace(",", "x")
    key = key.replace('"', "x")
    loading([row(key)])
    assert loading.rows().keys() == {key}


def test_the_later_line_wins_however_far_apart(loading):
    rows = [row(i) for i in range(3000)]
    rows[0] = row("twice", tax="earlier")
    rows[2999] = row("twice", tax="later")
    with mock.patch("orchestration.loader.planning.MIN_RANGE_BYTES", 5000):
        result = loading(rows, rows_per_chunk=100)
    assert loading.value("twice", "tax") == "later"
    assert loading.rows()["twice"][2] == 3001
    assert (result.rows_inserted, result.rows_superseded) == (2999, 1)


def test_the_later_line_wins_also_when_it_is_what_the_lake_holds_already(loading):
    loading([row("twice", tax="held")])
    before = loading.versions()
    rows = [row("twice", tax="other"), *[row(i) for i in range(50)], row("twice", tax="held")]
    result = loading(rows, rows_per_chunk=1)
    assert loading.value("twice", "tax") == "held"
    assert loading.versions()["twice"] == before["twice"]
    assert (result.rows_updated, result.rows_unchanged, result.rows_superseded) == (0, 1, 1)


def test_loading_the_same_file_again_touches_nothing(loading):
    data = HEADER + b"\n".join([line(1), line(2), line(2, tax="x"), b"bad", line(3)]) + b"\n"
    first = loading(data)
    rows, versions, rejected = loading.rows(), loading.versions(), loading.rejected()
    told = loading.lake.execute("select load_timestamp from forex.rejected_row").fetchall()
    again = loading(data)
    assert (loading.rows(), loading.versions(), loading.rejected()) == (rows, versions, rejected)
    assert loading.lake.execute("select load_timestamp from forex.rejected_row").fetchall() == told
    assert loading.ledger() == [
        ("file.csv", 5, 3, 0, 0, 1, 1),
        ("file.csv", 5, 0, 0, 3, 1, 1),
    ]
    assert (first.rows_inserted, again.rows_unchanged) == (3, 3)


@pytest.mark.parametrize("column", COLUMNS[1:])
def test_a_change_in_any_column_moves_the_row_and_no_other(loading, column):
    loading([row(1), row(2)], "old.csv")
    before = loading.versions()
    result = loading([row(2), row(1, **{column: ""})], "new.csv")
    after = loading.versions()
    assert after["1"] != before["1"]
    assert after["2"] == before["2"]
    assert loading.rows()["1"] == (tuple(row(1, **{column: ""}).values()), "new.csv", 3)
    assert loading.rows()["2"][1:] == ("old.csv", 3)
    assert (result.rows_updated, result.rows_unchanged) == (1, 1)
    stamp, started = loading.lake.execute(
        "select load_timestamp, (select max(started_at) from forex.load_ledger)"
        " from forex.customer_transactions where transaction_id = '1'"
    ).fetchone()
    assert stamp == started


def test_a_refused_file_leaves_no_trace(loading):
    with pytest.raises(LoaderError, match="missing 'tax'"):
        loading(HEADER.replace(b",tax", b"") + b"1\n")
    for table in ("customer_transactions", "rejected_row", "load_ledger"):
        assert loading.lake.execute(f"select count(*) from forex.{table}").fetchone() == (0,)


def test_a_header_alone_is_a_load_of_no_rows(loading):
    assert loading(HEADER).rows_read == 0
    assert loading.ledger() == [("file.csv", 0, 0, 0, 0, 0, 0)]


def test_the_ledger_keeps_the_content_hash_and_strictly_rising_times(loading):
    data = as_csv([row(1)])
    loading(data)
    future = datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)
    loading.lake.execute("update forex.load_ledger set started_at = %s", [future])
    loading(data)
    rows = loading.lake.execute(
        "select content_sha256, started_at from forex.load_ledger order by load_id"
    ).fetchall()
    assert {sha for sha, _ in rows} == {hashlib.sha256(data).hexdigest()}
    assert rows[1][1] == future + datetime.timedelta(microseconds=1)


key = st.sampled_from(["1", "2", "3", " ", "é"])
field = st.sampled_from(["", "a", "b", "\\", "\t", '"x"', '"x,y"', '"x\ny"', '"', '5"', "\0", "é"])
lines = st.one_of(
    st.tuples(key, field, field).map(lambda f: ",".join([*f, *[""] * 11])),
    st.tuples(key, field).map(",".join),
    st.just(""),
)
file = st.lists(lines, max_size=12).map("\n".join).map(str.encode)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(file, min_size=1, max_size=3),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    bad_bytes=st.booleans(),
    rows_per_chunk=st.sampled_from([1, 3, 100]),
    range_bytes=st.sampled_from([1, 50, 10_000]),
    block=st.sampled_from([1, 7, 10_000]),
    limits=st.sampled_from([(10, 400), LIMITS]),
)
def test_any_way_of_cutting_gives_the_same_lake(
    loading, files, end, bad_bytes, rows_per_chunk, range_bytes, block, limits
):
    empty_lake(loading.lake)
    model = Model()
    with (
        mock.patch("orchestration.loader.planning.MIN_RANGE_BYTES", range_bytes),
        mock.patch("orchestration.loader.planning.BLOCK_BYTES", block),
        mock.patch("orchestration.loader.extraction.BLOCK_BYTES", block),
        mock.patch("orchestration.loader.extraction.BUFFER_BYTES", block),
        mock.patch("orchestration.loader.records.MAX_RECORD_BYTES", limits[0]),
        mock.patch("orchestration.loader.records.MAX_LINE_BYTES", limits[1]),
        mock.patch("orchestration.loader.planning.MAX_LINE_BYTES", limits[1]),
        mock.patch("orchestration.loader.extraction.MAX_LINE_BYTES", limits[1]),
    ):
        for number, body in enumerate(files):
            data = (HEADER + body).replace(b"\n", end)
            if bad_bytes:
                data = data.replace("é".encode(), b"\xe9")
            loading(data, f"{number}.csv", rows_per_chunk=rows_per_chunk)
            model.load(f"{number}.csv", data, limits)
    loading.must_equal(model)


def steps(loading, content, **options):
    planned = plan(loading.path(content), 4, **options)
    load = begin_load(loading.connection, planned)
    return load, [extract(planned, part, str(loading.folder)) for part in planned.ranges]


def test_a_chunk_that_is_merged_again_counts_once(loading):
    load, extracts = steps(loading, as_csv([row(i) for i in range(40)]), rows_per_chunk=10)
    first = [load_chunk(loading.connection, load, n, extracts) for n in range(4)]
    versions = loading.versions()
    again = [load_chunk(loading.connection, load, n, extracts) for n in reversed(range(4))]
    assert again[::-1] == first
    assert loading.versions() == versions
    result = finish_load(loading.connection, load, extracts)
    assert result.rows_inserted == 40
    assert finish_load(loading.connection, load, extracts) == result


def test_a_range_extracted_again_counts_once(loading):
    data = as_csv([row(i) for i in range(40)]) + b"bad\n"
    load, first = steps(loading, data)
    planned = plan(loading.path(data), 4)
    extracts = [extract(planned, part, str(loading.folder)) for part in planned.ranges]
    assert extracts[0].folder != first[0].folder
    for n in range(load.chunk_count):
        load_chunk(loading.connection, load, n, extracts)
    assert finish_load(loading.connection, load, extracts).rows_read == 41


def test_a_load_with_a_chunk_or_rows_missing_does_not_finish(loading):
    load, extracts = steps(loading, as_csv([row(i) for i in range(40)]))
    for n in range(3):
        load_chunk(loading.connection, load, n, extracts)
    with pytest.raises(LoaderError, match="not complete"):
        finish_load(loading.connection, load, extracts)
    chunk_file(extracts[0].folder, 3).unlink()
    load_chunk(loading.connection, load, 3, extracts)
    with pytest.raises(LoaderError, match="not complete"):
        finish_load(loading.connection, load, extracts)
    assert loading.ledger() == []


def test_chunk_files_that_are_gone_are_an_error(loading, tmp_path):
    load, extracts = steps(loading, as_csv([row(1)]))
    shutil.rmtree(extracts[0].folder)
    with pytest.raises(LoaderError, match="are gone"):
        load_chunk(loading.connection, load, 0, extracts)


def test_a_file_that_changes_while_it_is_loaded_is_noticed(loading):
    data = as_csv([row(1), row(2)])
    planned = plan(loading.path(data), 4)
    for other in (data.replace(b"of 2", b"of 3"), data[:-10], b""):
        loading.path(other)
        with pytest.raises(LoaderError, match="changed while"):
            extract(planned, planned.ranges[0], str(loading.folder))
    (loading.folder / "file.csv").unlink()
    with pytest.raises(LoaderError, match="cannot be read any more"):
        extract(planned, planned.ranges[0], str(loading.folder))


def test_the_loader_needs_no_more_than_its_role(loading):
    loading([row(1)])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        loading.connection.execute("delete from forex.customer_transactions")


def test_new_ids_are_copied_straight_and_all_else_is_merged(loading):
    model = Model()

    def load(rows, merges):
        with mock.patch.object(merge, "_merge", side_effect=merge._merge) as merged:
            loading(rows, workers=1)
        assert merged.call_count == merges
        model.load("file.csv", as_csv(rows))
        loading.must_equal(model)

    load([row(i) for i in range(1050, 1100)], merges=0)
    load([row(i) for i in range(1100, 1110)], merges=0)
    load([row(1111), row(1109, price="7"), row(1112)], merges=1)
    load([row(1113), row(1114), row(1113, price="8")], merges=0)
    load([row("2\ta\tb"), row("2\\d")], merges=0)
    load([row("2\ta\tb"), row("2e")], merges=1)
    load([row(1000), row(3000)], merges=1)


def test_the_id_is_found_in_any_column_and_any_file_name_is_kept(loading):
    rows = [row(1), row(2), row(1, price="7")]
    columns = COLUMNS[::-1]
    rows = [{column: record[column] for column in columns} for record in rows]
    for number, record in enumerate(rows):
        record["customer_city"] = f"City {number}"
    lines = [columns, *(list(record.values()) for record in rows)]
    data = "".join(",".join(fields) + "\n" for fields in lines).encode()
    name = "tab\tline\nback\\slash.csv"
    assert loading(data, name).rows_superseded == 1
    assert loading.rows()["2"][1:] == (name, 3)
    loading([row(3)], name)
    assert loading.rows()["3"][1:] == (name, 2)


def test_a_chunk_too_large_to_sort_here_is_sorted_by_the_server(loading, monkeypatch):
    monkeypatch.setattr(merge, "MAX_SORTED_BYTES", 100)
    for price in ("1", "2"):
        loading([row(1), row(2, price="0"), row(2, price=price)], workers=1)
        assert loading.value("2", "price") == price
    assert loading.ledger() == [("file.csv", 3, 2, 0, 0, 1, 0), ("file.csv", 3, 0, 1, 1, 1, 0)]


def test_the_later_line_wins_in_whatever_order_its_range_is_given(loading):
    rows = [row(1, price=str(number)) for number in range(40)]
    with (
        mock.patch("orchestration.loader.planning.MIN_RANGE_BYTES", 1000),
        mock.patch("orchestration.loader.planning.BLOCK_BYTES", 1000),
    ):
        load, extracts = steps(loading, as_csv(rows))
    assert len(extracts) > 3
    load_chunk(loading.connection, load, 0, extracts[::-1])
    assert loading.rows() == {"1": (tuple(rows[-1].values()), "file.csv", 41)}


def test_a_database_that_sorts_otherwise_is_loaded_all_the_same(loading):
    """As if it had looked for known ids elsewhere: the key stops the copy, and a merge follows."""
    loading([row(1), row(2)])
    nowhere = "select exists (select from {landing_table} where {key} between %s and %s and false)"
    with mock.patch.object(merge, "_ANY_BETWEEN", nowhere):
        result = loading([row(1), row(2, price="7"), row(3)], workers=1)
    assert (result.rows_inserted, result.rows_updated, result.rows_unchanged) == (1, 1, 1)


def test_an_id_that_another_writer_lands_meanwhile_is_merged(loading, loader_connection):
    def overtaken(*arguments):
        loader_connection.execute(
            "insert into forex.customer_transactions (transaction_id) values ('2')"
        )
        copy.side_effect = None
        return mock.DEFAULT

    real = merge.copy_blocks
    with mock.patch.object(merge, "copy_blocks", wraps=real, side_effect=overtaken) as copy:
        result = loading([row(1), row(2), row(3)], workers=1)
    assert (result.rows_inserted, result.rows_updated) == (2, 1)
    assert loading.rows()["2"][0] == tuple(row(2).values())


@pytest.mark.parametrize("rows", [0, 1, 3000])
@pytest.mark.parametrize("analyzed", [False, True])
def test_rows_are_looked_up_by_index_whatever_the_planner_believes(loading, rows, analyzed):
    loading([row(i) for i in range(rows)])
    if analyzed:
        loading.lake.execute("vacuum analyze forex.customer_transactions")
    with loading.connection.transaction():
        loading.connection.execute(statement(merge._CREATE_STAGING, TRANSACTIONS))
        loading.connection.execute(merge._BY_INDEX)
        lines = [
            line
            for file_rows in (merge._SORTED, merge._ANY)
            for line in loading.connection.execute(
                statement(
                    "explain " + merge._MERGE.replace("{file_rows}", file_rows), TRANSACTIONS
                ),
                {"source_file": "", "load_timestamp": "2000-01-01"},
            )
        ]
        lines += loading.connection.execute(
            statement("explain " + merge._ANY_BETWEEN, TRANSACTIONS), ["1", "2"]
        ).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert plan.count("Index Scan using customer_transactions_pkey") == 2
    assert plan.count("Index Only Scan using customer_transactions_pkey") == 1
    assert "Scan on customer_transactions" not in plan
