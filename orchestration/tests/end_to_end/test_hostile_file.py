"""A hostile file loads; every row is in exactly one place; the build is green."""

import csv

import psycopg
import pytest

from orchestration.loader.layout import COLUMNS
from orchestration.tests.support import GOOD_ROW, Dbt, load

HOSTILE = [
    "O'Brien",
    "'); DROP TABLE forex.customer_transactions; --",
    "{{ 1/0 }}",
    "{% raw %}",
    "%s %(x)s %%",
    r"\N",
    r"\.",
    r"\x41\101\n",
    '"',
    "a,b",
    "two\nlines",
    "car\rriage",
    "tab\tbed",
    "💶 žluťoučký \u202eright to left",
    "$1 $$ :x ?",
    "NULL",
    "\u00a0padded\u3000",
    "-",
    "x" * 100_000,
]
# Column, value, and what the reason must say.
UNCLEAN = [
    ("transaction_date", "31-02-2023", 'transaction_date: not a date: "31-02-2023"'),
    ("transaction_date", "2023-02-29", "not a date"),
    ("transaction_date", "0000-01-01", "not a date"),
    ("transaction_date", "2023-07-11 25:00:00", "not a date"),
    ("transaction_date", "07/2023", "not a date"),
    ("transaction_date", "", "transaction_date: empty"),
    ("price", "NaN", 'price: not a number: "NaN"'),
    ("price", "Infinity", "not a number"),
    ("price", "0x1F", "not a number"),
    ("price", "1_000", "not a number"),
    ("price", "1e999999", "not a number"),
    ("price", "9" * 200_000, "not a number"),
    ("tax", "umpteen", "not a number"),
    ("tax", " ", "tax: empty"),
    ("customer_city", "\u00a0", "customer_city: empty"),
    ("customer_first_name", "\t", "customer_first_name: empty"),
]
NOT_LANDED = [
    b"too,few",
    b",".join([b"many"] * 15),
    b"," * 13,
    b"nul\x00," + b"," * 12,
    b"latin\xe9," + b"," * 12,
]


@pytest.fixture(scope="module")
def dbt(server, tmp_path_factory):
    return Dbt("pro", tmp_path_factory.mktemp("dbt"))


def _good(number, **values):
    unique = {"transaction_id": f"id {number}", "customer_email": f"{number}@example.com"}
    return GOOD_ROW | unique | values


def _write(path, records):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(records)
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in NOT_LANDED)
    return path


def test_every_row_is_in_exactly_one_place(server, lake, dbt, tmp_path):
    hostile = [_good(f"h{n}", customer_last_name=value) for n, value in enumerate(HOSTILE)]
    hostile += [_good(value[:50], product_name=value) for value in HOSTILE]
    unclean = [_good(f"u{n}", **{column: value}) for n, (column, value, _) in enumerate(UNCLEAN)]
    twice = [
        _good("first", customer_email="t@example.com"),
        _good("second", customer_email="t@example.com"),
    ]
    path = _write(tmp_path / "hostile.csv", hostile + unclean + twice)
    result = load(path)
    assert result.rows_read == len(hostile) + len(unclean) + len(twice) + len(NOT_LANDED)
    assert result.rows_rejected == len(NOT_LANDED)
    dbt("build", "--full-refresh")
    with psycopg.connect(server("pro", "dbt_pro")) as pro:
        places = [
            (name, place)
            for place in ("transaction", "rejected_transaction", "superseded_transaction")
            for (name,) in pro.execute(f"select source_transaction_id from silver.{place}")
        ]
        where = dict(places)
        reasons = dict(
            pro.execute(
                "select source_transaction_id, reasons from silver.rejected_transaction"
            ).fetchall()
        )
        names = dict(
            pro.execute(
                "select source_transaction_id, customer_last_name from silver.transaction"
            ).fetchall()
        )
    assert len(places) == len(where) == len(hostile) + len(unclean) + len(twice)
    for record in hostile:
        assert where[record["transaction_id"]] == "transaction", record
    for number, (_, _, reason) in enumerate(UNCLEAN):
        assert where[f"id u{number}"] == "rejected_transaction"
        assert reason in reasons[f"id u{number}"]
    assert (where["id first"], where["id second"]) == (
        "superseded_transaction",
        "transaction",
    )
    for number, value in enumerate(HOSTILE):
        assert names[f"id h{number}"] == value.strip(" \t\n\r\f\v\u00a0")


def test_a_row_mended_later_leaves_the_rejected(server, lake, dbt, tmp_path):
    unclean = [_good(f"u{n}", **{column: value}) for n, (column, value, _) in enumerate(UNCLEAN)]
    load(_write(tmp_path / "unclean.csv", unclean))
    dbt("build", "--full-refresh")
    load(_write(tmp_path / "mended.csv", [_good(f"u{n}") for n in range(len(UNCLEAN))]))
    dbt("build")
    with psycopg.connect(server("pro", "dbt_pro")) as pro:
        assert pro.execute("select count(*) from silver.rejected_transaction").fetchone() == (0,)
        counted = pro.execute("select count(*) from gold.transaction_fct").fetchone()
    assert counted == (len(UNCLEAN),)
