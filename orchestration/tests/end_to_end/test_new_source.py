"""docs/new-source.md at its word: its files and commands, in its order, and what they make."""

import csv
import os
import random
import re
import subprocess
from decimal import Decimal

import psycopg
import pytest

from orchestration.tests.support import copy_checkout
from orchestration.warehouse import scratch
from orchestration.warehouse.settings import CHECKOUT

# A file, named right before its block, or commands.
STEP = re.compile(r"`([\w./]+)`:\n\n```\w+\n(.*?)```|```sh\n(.*?)```", re.DOTALL)
COLUMNS = ["refund_id", "transaction_id", "refund_date", "amount", "reason"]
LOAD = ".venv/bin/python -m orchestration.loader --table"


class Example:
    """A copy of the checkout beside a server of its own."""

    def __init__(self, folder, environment):
        self.folder = folder
        self._environment = environment

    def attempt(self, command):
        return subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def run(self, command):
        done = self.attempt(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def load(self, name, rows, *, bad=()):
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            file.writelines(f"{line}\n" for line in bad)
        return self.run(f"{LOAD} refunds {name}")

    def build(self, *options):
        self.run(" ".join((".venv/bin/dbt build --select source:forex.refunds+", *options)))

    def rows(self, query, database="dev", user="analyst"):
        with psycopg.connect(
            host="127.0.0.1",
            port=self._environment["WAREHOUSE_PORT"],
            dbname=database,
            user=user,
            passfile=self._environment["PGPASSFILE"],
        ) as connection:
            return connection.execute(query).fetchall()

    def silver(self):
        return self.rows(
            "select refund_id, source_transaction_id, refund_date, amount, reason, reasons"
            " from analyst_silver.cleaned_refund order by refund_id"
        )

    def mart(self):
        return {
            (year, month): tuple(figures)
            for year, month, *figures in self.rows(
                "select * from analyst_data_marts.agg_refunds_monthly"
            )
        }


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The page, walked to its end."""
    folder = copy_checkout(tmp_path_factory.mktemp("new_source") / "copy")
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))  # older than what was made of it, so that make installs nothing
    for name in (".venv", ".tools", "dbt_packages"):
        (folder / name).symlink_to(CHECKOUT / name)
    with scratch.server() as environment:
        own = {"PYTHONPATH": str(folder), "DBT_PROFILES_DIR": str(folder / "profiles")}
        walked = Example(folder, environment | own)
        walked.run(
            ".venv/bin/python -m orchestration.loader"
            " orchestration/sample/customer_transactions.csv"
        )
        for name, text, commands in STEP.findall((folder / "docs/new-source.md").read_text()):
            if name:
                assert not (folder / name).exists(), name
                (folder / name).write_text(text)
            else:
                walked.said = walked.run(commands)
        yield walked


def test_the_page_tells_the_truth(example):
    assert "Got 1 result, configured to warn" in example.said
    assert example.mart()[2023, 7][:2] == (2, Decimal("215.50"))
    assert example.rows(
        "select refund_id, reasons from analyst_silver.rejected_refund order by 1"
    ) == [
        ("R3", 'refund_date: not a date: "31-06-2023"'),
        ("R4", "amount: empty"),
    ]
    tables = example.rows("select table_name, count(*) from data_lake.load_ledger group by 1")
    assert dict(tables) == {"customer_transactions": 1, "refunds": 1}


DATES = {
    "2023-07-03": "2023-07-03",
    "04/08/2023": "2023-08-04",
    "29-02-24": "2024-02-29",
    " 2023/07/31": "2023-07-31",
    "04/07/2023": "2023-07-04",
    "2023-08-01": "2023-08-01",
    "31-06-2023": None,
    "soon": None,
    "": None,
}
AMOUNTS = {
    "10.50": "10.50",
    "two hundred and five": "205",
    "1,200.00": "1200.00",
    "-3": "-3",
    "12": "12",
    "": None,
    "0x1F": None,
    "umpteen": None,
    " ": None,
}
REASONS = ["O'Brien", "{{ 1/0 }}", "a,b\nc", '"', r"\N", "'); drop table forex.refunds; --"]


def _refunds(rng, count):
    """Rows with dirt; ids come up more than once."""
    return [
        (
            f"O'{rng.randrange(count)}",
            rng.choice(["1001", "T1002", "lost", ""]),
            rng.choice(list(DATES)),
            rng.choice(list(AMOUNTS)),
            rng.choice(REASONS),
        )
        for _ in range(count)
    ]


def _told(column, given, value, fault=None):
    if value is not None:
        return []
    return [f'{column}: {fault}: "{given.strip()}"' if given.strip() else f"{column}: empty"]


def _cleaned(rows):
    """What silver must hold of rows, of which the last with an id wins."""
    found = {}
    for key, sale, day, amount, reason in rows:
        wrong = (
            _told("source_transaction_id", sale, sale or None)
            + _told("refund_date", day, DATES[day], "not a date")
            + _told("amount", amount, AMOUNTS[amount], "not a number")
        )
        found[key] = (
            sale or None,
            DATES[day],
            AMOUNTS[amount],
            reason or None,
            "; ".join(wrong) or None,
        )
    return found


def _monthly(cleaned):
    """Number and sum of the good refunds of each month."""
    months = {}
    for _, day, amount, _, wrong in cleaned.values():
        if not wrong:
            month = int(day[:4]), int(day[5:7])
            number, total = months.get(month, (0, 0))
            months[month] = number + 1, total + Decimal(amount)
    return months


def _must_hold(example, rows):
    cleaned = _cleaned(rows)
    assert {
        key: (sale, day and str(day), amount and str(amount), reason, reasons)
        for key, sale, day, amount, reason, reasons in example.silver()
    } == cleaned
    refunded = _monthly(cleaned)
    sales = {
        (year, month): revenue
        for year, month, revenue in example.rows(
            "select year, month, revenue from analyst_data_marts.agg_sales_monthly"
        )
    }
    assert example.mart() == {
        month: (
            *refunded.get(month, (0, 0)),
            sales.get(month, 0),
            sales.get(month, 0) - refunded.get(month, (0, 0))[1],
        )
        for month in sales | refunded
    }


def test_dirt_a_correction_and_a_full_refresh(example):
    rng = random.Random(9)
    page = list(csv.reader((example.folder / "refunds.csv").open(newline="")))[1:]
    first = _refunds(rng, 400)
    told = example.load("first.csv", first, bad=['"never closed', "too,few"])
    assert "402 rows read" in told and "2 rejected" in told
    example.build()
    everything = [*page, *first]
    _must_hold(example, everything)

    second = _refunds(rng, 100) + [(row[0], row[1], "2023-07-03", "12", "") for row in first[:20]]
    example.load("second.csv", second)
    example.build()
    everything += second
    _must_hold(example, everything)

    increment = example.silver(), example.mart()
    example.build("--full-refresh")
    assert (example.silver(), example.mart()) == increment


def test_the_same_bad_line_of_two_sources_is_told_twice(example):
    bad = '"never closed'
    sample = (example.folder / "orchestration/sample/customer_transactions.csv").read_text()
    (example.folder / "same.csv").write_text(f"{sample.splitlines()[0]}\n{bad}\n")
    example.run(".venv/bin/python -m orchestration.loader same.csv")
    for _ in range(2):
        example.load("same.csv", [], bad=[bad])
    told = example.rows(
        "select table_name, raw_line from data_lake.rejected_row"
        " where source_file = 'same.csv' order by 1"
    )
    assert told == [("customer_transactions", bad), ("refunds", bad)]


def test_a_table_without_a_layout_is_one_line(example):
    refused = example.attempt(f"{LOAD} nonsense refunds.csv")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "there is customer_transactions, refunds" in refused.stderr


def test_nothing_is_written_over(example):
    view = example.folder / "models/bronze/refunds.sql"
    view.write_text("-- mine\n")
    refused = example.attempt("make new-source NAME=refunds SAMPLE=refunds.csv KEY=refund_id")
    assert refused.returncode != 0
    assert "already" in refused.stderr
    assert view.read_text() == "-- mine\n"
