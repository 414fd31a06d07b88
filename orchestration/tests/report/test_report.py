"""The report says what SQL says, and shows the data's text as text."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import psycopg
import pytest

from orchestration.report import facts as report
from orchestration.report.facts import gather
from orchestration.report.listing import Listing
from orchestration.report.page import render
from orchestration.report.plots import WIDE, plot, ticks
from orchestration.report.results import last_run
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
        "select concat_ws(' ', first_name, last_name), transactions, revenue"
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


def test_what_is_drawn_is_what_the_marts_hold(built, target, analyst_connection):
    drawn = {
        listing.title: re.findall(r'<desc class="value">([^<]*)</desc>', plot(listing, WIDE))
        for listing in gather("-infinity", target).listings
        if listing.plot
    }
    for title, mart in (
        ("Revenue by month", "agg_sales_monthly"),
        ("Revenue by country", "agg_sales_country"),
        ("Customers with most revenue", "agg_sales_customer"),
    ):
        revenues = analyst_connection.execute(
            f"select revenue from analyst_data_marts.{mart} order by revenue desc limit 10"
        ).fetchall()
        assert sorted(drawn[title]) == sorted(f"{revenue:,.0f}" for (revenue,) in revenues)


def test_the_night_tells_of_its_build_and_of_its_tests(tmp_path):
    """It builds, keeps the results, and tests: what was tested again counts as it is now."""

    def write(name, which, results):
        content = {
            "metadata": {"generated_at": "2026-01-02T03:04:05Z"},
            "args": {"which": which},
            "elapsed_time": 10.0,
            "results": [{"unique_id": id_, "status": status} for id_, status in results.items()],
        }
        (tmp_path / name).write_text(json.dumps(content))

    write("build_results.json", "build", {"model.f.a": "success", "test.f.b": "pass"})
    write("run_results.json", "test", {"test.f.b": "fail", "test.f.c": "pass"})
    night = last_run(tmp_path)
    assert {result["unique_id"]: result["status"] for result in night.results} == {
        "model.f.a": "success",
        "test.f.b": "fail",
        "test.f.c": "pass",
    }
    assert night.failed and night.seconds == 20
    write("run_results.json", "build", {"model.f.a": "success"})
    assert len(last_run(tmp_path).results) == 1


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
    assert [row[2] for row in found["Rows without a quantity"].rows] == ["none"]
    warned = {row[0]: row for row in found["What failed or warns"].rows}
    assert set(warned) == {"rejected_rows_exist", "superseded_rows_exist"}
    assert warned["rejected_rows_exist"][4].endswith("the rows that could not be cleaned, and why.")


def test_the_exposure_names_what_the_report_reads(built, target, monkeypatch):
    read = set()
    rows = report._Warehouse.rows

    def note(self, query, *names, **values):
        read.update(names)
        return rows(self, query, *names, **values)

    monkeypatch.setattr(report._Warehouse, "rows", note)
    gather("-infinity", target)
    manifest = json.loads((target / "manifest.json").read_text())
    exposure = manifest["exposures"]["exposure.forex_warehouse.run_report"]
    assert {node.split(".")[-1] for node in exposure["depends_on"]["nodes"]} == read


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


@pytest.fixture
def artifact(target):
    """Rewrites results of the last run, which are put back afterwards."""
    results = target / "run_results.json"
    kept = results.read_text()
    run = json.loads(kept)

    def write(outcomes):
        for result in run["results"]:
            for name, values in outcomes.items():
                if re.fullmatch(name, result["unique_id"].split(".")[2]):
                    result |= values
        results.write_text(json.dumps(run))

    yield write
    results.write_text(kept)


def test_a_failed_build_is_told(built, target, artifact):
    """What failed comes first, with its reason, and what was skipped does not hide it."""
    artifact(
        {
            "missing_quantity": {"status": "error", "message": "Database Error\n  it's\n  full"},
            "guaranteed_.*": {"status": "skipped", "failures": None, "message": None},
            "conservation": {"status": "fail", "failures": 3, "message": "Got 3 results"},
            "agg_sales_customer": {"status": "skipped", "adapter_response": {}, "message": None},
        }
    )
    facts = gather("now", target)
    found = {listing.title: listing for listing in facts.listings}
    told = found["What failed or warns"]
    assert told.urgent
    assert [row[1] for row in told.rows][:2] == ["error", "fail"]
    assert {row[1] for row in told.rows} == {"error", "fail", "warn"}
    reasons = {row[0]: row[4] for row in told.rows}
    assert reasons["missing_quantity"] == "Database Error it's full"
    assert reasons["conservation"].startswith("Rows in the lake =")
    models = {row[0]: row for row in found["Built in dev"].rows}
    assert models["missing_quantity"][2] is None
    assert models["agg_sales_customer"][1:3] == ("skipped", None)
    assert not any("Nothing changed" in remark for remark in facts.remarks)
    assert "the build failed: 17 models (1 error, 1 skipped, 15 success)" in text(facts)
    page = render(facts)
    assert "✗ the build failed" in page
    assert page.index("Database Error it&#39;s full") < page.index("<svg")


def test_markup_in_a_message_is_text(built, target, artifact):
    artifact({"conservation": {"status": "fail", "failures": 3, "message": IMAGE}})
    page = _Page(render(gather("-infinity", target)))
    assert ["conservation", "fail", "3", "", IMAGE] in page.rows


def test_a_unit_test_is_called_by_its_name(built, dbt, target):
    dbt("test", "--select", "a_run_and_what_it_found")
    facts = gather("now", target)
    slowest = next(listing for listing in facts.listings if listing.title == "Slowest tests")
    assert [row[0] for row in slowest.rows] == ["a_run_and_what_it_found"]


def test_since_when_it_is_bad(built, dbt, target, analyst_connection):
    dbt("build", "--exclude-resource-type", "unit_test")
    facts = gather("now", target)
    (told,) = (listing for listing in facts.listings if listing.urgent)
    expected = analyst_connection.execute(
        "select name, bad_since from analyst_data_marts.data_quality_check"
        " where bad_since is not null"
    ).fetchall()
    assert {(row[0], row[3]) for row in told.rows} == set(expected)
    assert all(since < facts.built_at for _, since in expected)


def test_a_relation_that_is_missing_is_left_out(built, dbt, target, analyst_connection):
    analyst_connection.execute("drop view analyst_data_marts.agg_sales_country")
    facts = gather("-infinity", target)
    assert "Total revenue" not in facts.figures
    assert "Revenue by country" not in {listing.title for listing in facts.listings}
    dbt("run", "--select", "agg_sales_country")


def test_only_these_loads_are_told(built, target, server, tmp_path):
    """A clean file of the same name has no bad line; a load that died is no load."""
    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as lake:
        (before,) = lake.execute("select now()").fetchone()
        load(write_csv(tmp_path / "sales <b>.csv", [{"transaction_id": "0"}]))
        lake.execute(
            "insert into forex.load_ledger (source_file, content_sha256) values ('dead.csv', '0')"
        )
        facts = gather(str(before), target)
        lake.execute("delete from forex.load_ledger where source_file = 'dead.csv'")
    found = {listing.title: listing for listing in facts.listings}
    assert [row[:2] for row in found["Loaded into the lake"].rows] == [("sales <b>.csv", 1)]
    assert "Lines not landed" not in found
    assert any("did not finish: 1" in remark for remark in facts.remarks)


def test_freshness_is_that_of_the_newest_row(built, dbt, target, server):
    def freshness():
        listings = gather("-infinity", target).listings
        return next(listing.rows for listing in listings if listing.title == "Freshness")

    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as lake:
        (newest,) = lake.execute(
            "select max(load_timestamp) from forex.customer_transactions"
        ).fetchone()
        assert freshness() == [("customer_transactions", "pass", newest)]
        for days, outcome in ((2, "warn"), (2, "error")):
            for table, column in (
                ("customer_transactions", "load_timestamp"),
                ("load_ledger", "started_at"),
            ):
                lake.execute(f"update forex.{table} set {column} = {column} - interval '{days} d'")
            assert freshness()[0][1] == outcome


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0], [0, 1]),
        ([91.0, 3.0], [0, 25, 50, 75, 100]),
        ([-30.0, 100.0], [-50, 0, 50, 100]),
        ([-4.0, -1.0], [-4, -3, -2, -1, 0]),
    ],
)
def test_an_axis_holds_all_values_and_zero(values, expected):
    assert ticks(values) == expected


def test_months_without_sales_leave_a_gap():
    rows = [("2023-02", 1, 5), ("2023-01", 1, 4), ("2022-12", 1, -3), ("2022-10", 1, 2)]
    listing = Listing("Revenue by month", ("month", "transactions", "revenue"), rows, 4)
    drawn = plot(replace(listing, plot="columns"), WIDE)
    labels = re.findall(r"(20\d\d-\d\d|…)</text>", drawn)
    assert labels == ["2022-10", "…", "2022-12", "2023-01", "2023-02"]


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
