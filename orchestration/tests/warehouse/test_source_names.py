"""What `make new-source` refuses; what it writes is proved by end_to_end/test_new_source.py."""

import psycopg
import pytest

from orchestration import new_source
from orchestration.warehouse.errors import UserError

GOOD = ["refund_id", "amount"]


@pytest.mark.parametrize(
    "table, columns, key, told",
    [
        ("Refunds", GOOD, "refund_id", "'Refunds' cannot be a name"),
        ("refunds; drop", GOOD, "refund_id", "cannot be a name"),
        ("../refunds", GOOD, "refund_id", "cannot be a name"),
        ("r" * 41, GOOD, "refund_id", "cannot be a name"),
        ("refunds", ["refund_id", "Refund Date"], "refund_id", "'Refund Date' cannot be a name"),
        ("refunds", ["refund_id", ""], "refund_id", "'' cannot be a name"),
        ("refunds", ["refund_id", "order"], "refund_id", "means something in SQL"),
        ("refunds", ["refund_id", "xmin"], "refund_id", "means something in SQL"),
        ("refunds", [*GOOD, "amount"], "refund_id", "amount more than once"),
        ("refunds", [*GOOD, "load_xid"], "refund_id", "the loader adds"),
        ("refunds", GOOD, "id", "none of the file's columns"),
        ("refunds", ["refund_id"], "refund_id", "no column but"),
        ("refunds", [], "refund_id", "none of the file's columns"),
        ("customer_transactions", GOOD, "refund_id", "already"),
        ("transaction", GOOD, "refund_id", "already"),
        ("rejected_row", GOOD, "refund_id", "already"),
    ],
)
def test_what_cannot_be_a_source_is_refused(table, columns, key, told):
    with pytest.raises(UserError, match=told):
        new_source.checked(table, columns, key)


def test_no_reserved_word_is_a_name(server):
    with psycopg.connect(server("dev", "analyst")) as connection:
        words = connection.execute(
            "select word from pg_get_keywords() where catcode in ('R', 'T')"
        ).fetchall()
    for (word,) in words:
        with pytest.raises(UserError):
            new_source.checked("refunds", [*GOOD, word], "refund_id")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'refund_id\0,"amount'])
def test_a_sample_that_is_no_csv_is_refused(tmp_path, content):
    sample = tmp_path / "sample.csv"
    if content:
        sample.write_bytes(content)
    with pytest.raises(UserError):
        new_source.checked("refunds", new_source.header(sample), "refund_id")


def test_a_header_may_have_a_byte_order_mark_and_quotes(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_bytes(b'\xef\xbb\xbf"refund_id",amount\r\nR1,2\r\n')
    assert new_source.header(sample) == GOOD
