"""The report says what SQL says, and shows the data's text as text."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import psycopg
import pytest

from orchestration.report.facts import gather
from orchestration.report.page import render
from orchestration.report.terminal import shown, text
from orchestration.tests.support import Dbt, empty_lake, load, write_csv
from orchestration.warehouse.errors import UserError
from orchestration.warehouse.settings import CHECKOUT

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
LONG = "Ñ" * 500
RIGHT_TO_LEFT = "\u202egnitset"
HOSTILE = [SCRIPT, IMAGE, ESCAPE, LONG, RIGHT_TO_LEFT, "{{ 7 * 7 }}", "</style></table>", "O'Brien"]


class _Page(HTMLParser):
    """What a browser would make of the page: elements, their attributes, and text by table row."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.rows, self._in_cell = set(), [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "dt", "dd"):
            if tag == "dt":
                self.rows.append([])
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th", "dt", "dd"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="module")
def dbt(server, target):
    return Dbt("dev", target)


@pytest.fixture(scope="module")
def built(server, dbt, tmp_path_factory):
    """`dev`, of hostile sales, a bad line, a row that cannot be cleaned and one superseded."""
    records = [
        {"transaction_id": str(n), "customer_country": value, "customer_first_name": value,
         "customer_email": f"{n}@example.com", "price": str(10 + n)}
        for n, value in enumerate(HOSTILE)
    ]  # fmt: skip
    records += [
        {"transaction_id": "twice", "customer_email": "0@example.com", "price": "11"}
        | {"customer_country": SCRIPT, "customer_first_name": SCRIPT},
        {"transaction_id": "bad", "price": IMAGE},
        {"transaction_id": "none", "quantity": ""},
    ]
    path = write_csv(tmp_path_factory.mktemp("files") / "sales <b>.csv", records)
    with path.open("a") as file:
        file.write(f"{SCRIPT},too,few\n")
    with psycopg.connect(server("data_lake", "postgres")) as lake:
        empty_lake(lake)
    load(path)
    dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")


def _rows(connection, query):
    return [tuple(map(shown, row)) for row in connection.execute(query).fetchall()]


def test_figures_are_those_of_the_marts(built, target, analyst_connection):
    facts = gather("-infinity", target)
    page, told = _Page(render(facts)), text(facts)
    cells = [tuple(row) for row in page.rows]
    marts = "analyst_data_marts.agg_sales_"
    queries = [
        f"select country, transactions, revenue from {marts}country",
        "select concat_ws(' ', first_name, last_name), email, transactions, revenue"
        f" from {marts}customer order by revenue desc, customer_id limit 10",
        "select format('%s-%s', year, lpad(month::text, 2, '0')), transactions, revenue"
        f" from {marts}monthly",
        "select 'superseded_transaction', count(*) from analyst_silver.superseded_transaction",
        f"select 'Total revenue', sum(revenue) from {marts}country",
    ]
    for query in queries:
        rows = _rows(analyst_connection, query)
        assert rows
        assert set(rows) <= set(cells), query
    total = analyst_connection.execute(f"select sum(revenue) from {marts}country").fetchone()[0]
    assert total > 0
    assert f"Total revenue: {total:,.2f}" in told


def test_every_row_that_did_not_make_it_is_told(built, target):
    facts = gather("-infinity", target)
    found = {listing.title: listing for listing in facts.listings}
    assert found["Lines not landed, by reason"].rows == [
        ("wrong number of fields: 3, expected 14", 1)
    ]
    assert found["Lines not landed"].rows[0][3] == f"{SCRIPT},too,few"
    assert found["Rows not cleaned, by fault"].rows == [("price: not a number", 1)]
    assert IMAGE in found["Rows not cleaned"].rows[0][2]
    assert [row[2] for row in found["Rows superseded by a later one"].rows] == ["0"]
    assert facts.figures["Rejected"] == facts.figures["Superseded"] == 1
    assert facts.figures["Quantity missing"] == 1
    warned = {row[0] for row in found["Tests that failed or warn"].rows}
    assert warned == {"rejected_rows_exist", "superseded_rows_exist"}


def test_hostile_text_stays_text(built, target):
    facts = gather("-infinity", target)
    html = render(facts)
    page = _Page(html)
    assert "script" not in page.elements
    assert "img" not in page.elements
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    # A browser may fetch nothing: no address in any attribute, and none in the styles.
    addresses = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert set(addresses) <= {"data:,"}
    assert "url(" not in html
    assert "@import" not in html
    shown_texts = {cell for row in page.rows for cell in row}
    assert {SCRIPT, IMAGE, "{{ 7 * 7 }}", "</style></table>"} <= shown_texts
    assert "49" not in shown_texts
    told = text(facts)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", told + html.replace("\t", ""))


def test_the_page_stays_small(built, target):
    assert len(render(gather("-infinity", target))) < 150_000


def _tell(target, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "orchestration.report", "--target-path", str(target), *arguments],
        cwd=CHECKOUT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_names_the_page(built, target):
    outcome = _tell(target)
    assert outcome.returncode == 0, outcome.stderr
    last = outcome.stdout.splitlines()[-1]
    assert last == f"Report: {target / 'report.html'}"
    assert "✓ built" in (target / "report.html").read_text()


def test_a_run_with_nothing_new_says_so(built, dbt, target):
    dbt("build", "--exclude-resource-type", "unit_test")
    facts = gather("now", target)
    assert facts.remarks[0] == "Nothing was loaded."
    assert "Nothing changed" in text(facts)
    assert "Nothing changed" in render(facts)


def test_a_failed_build_is_told(built, dbt, target, analyst_connection):
    """A relation is missing, and a node failed with a message that is markup."""
    analyst_connection.execute("drop view analyst_data_marts.agg_sales_country")
    results = target / "run_results.json"
    kept = results.read_text()
    run = json.loads(kept)
    failed = next(r for r in run["results"] if r["unique_id"].startswith("test."))
    failed |= {"status": "fail", "failures": 3, "message": IMAGE}
    results.write_text(json.dumps(run))
    facts = gather("-infinity", target)
    results.write_text(kept)
    assert facts.failed
    assert "Total revenue" not in facts.figures
    page = _Page(render(facts))
    name = failed["unique_id"].split(".")[2]
    assert [name, "fail", "3", IMAGE] in page.rows
    assert "✗ the build failed" in render(facts)


def test_an_empty_warehouse(lake, dbt, target):
    dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")
    facts = gather("-infinity", target)
    assert facts.figures["Total revenue"] == 0
    assert "svg" not in _Page(render(facts)).elements


def test_without_a_run_there_is_one_line(server, tmp_path):
    outcome = _tell(tmp_path)
    assert outcome.returncode != 0
    assert outcome.stderr.count("\n") == 1
    assert "make run" in outcome.stderr
    with pytest.raises(UserError):
        gather("-infinity", tmp_path)
