"""The report and the documentation, as a reader meets them."""

import psycopg
import pytest

from orchestration.report.browser import visit
from orchestration.report.facts import gather
from orchestration.report.page import render
from orchestration.tests.support import Dbt, empty_lake, load, write_csv
from orchestration.warehouse import docs

SCRIPT = "<script>window.attacked = 1</script>"
IMAGE = '"><img src=x onerror="window.attacked = 1">'
# A canvas in which something is drawn.
DRAWN = """() => [...document.querySelectorAll("canvas")].some(canvas =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean))"""
# Pixels of the smallest letters in what is drawn.
SMALLEST = """() => Math.min(...[...document.querySelectorAll("svg text")]
    .filter(text => text.checkVisibility() && text.textContent.trim())
    .map(text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
# Names in tables that had to be broken to fit.
BROKEN = """() => [...document.querySelectorAll("td.text")]
    .filter(cell => /^[a-z_]{1,40}$/.test(cell.textContent))
    .filter(cell => {
        const words = document.createRange();
        words.selectNodeContents(cell);
        return words.getClientRects().length > 1;
    })
    .map(cell => cell.textContent)"""


@pytest.fixture(scope="module")
def pages(server, tmp_path_factory):
    """The folder with `report.html` and `static_index.html` of a `dev` with hostile rows."""
    folder = tmp_path_factory.mktemp("pages")
    records = [
        {"transaction_id": str(n), "customer_country": f"{value} {n}", "customer_email": f"{n}@x.y"}
        for n, value in enumerate([SCRIPT, IMAGE, "Chile", "W" * 300] * 4)
    ]
    records.append({"transaction_id": "bad", "price": IMAGE})
    with psycopg.connect(server("data_lake", "postgres")) as lake:
        empty_lake(lake)
    load(write_csv(folder / "sales.csv", records))
    dbt = Dbt("dev", folder)
    dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")
    (folder / "report.html").write_text(render(gather("-infinity", folder)), encoding="utf-8")
    dbt("docs", "generate", "--static")
    page = folder / "static_index.html"
    page.write_text(docs.finish(page.read_text()))
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_reads_well_everywhere(browser, pages, width, scheme):
    with visit(browser, (pages / "report.html").as_uri(), width, scheme) as report:
        for summary in report.page.locator("summary").all():
            summary.click()
        assert report.complaints == []
        assert report.requests == []
        assert report.faults() == {}
        assert report.overflow() == 0
        assert report.page.evaluate("window.attacked") is None
        assert report.page.get_by_text(SCRIPT).first.is_visible()
        assert report.page.locator("svg[role=img]:visible").count() == 3
        assert report.page.evaluate(SMALLEST) >= 12
        assert report.page.evaluate(BROKEN) == []
        backgrounds = report.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (backgrounds == "rgb(20, 23, 29)") == (scheme == "dark")


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("", "How a row travels"),
        ("#!/model/model.forex_warehouse.transaction_fct", "The sales: one row per"),
        ("#!/source/source.forex_warehouse.forex.load_ledger", "One row per load"),
        ("#!/exposure/exposure.forex_warehouse.run_report", "What each run loaded"),
        ("#!/overview?g_v=1&g_i=%2Bexposure:*", None),
    ],
)
def test_the_documentation_needs_no_other_host(browser, pages, place, shown):
    url = f"{(pages / 'static_index.html').as_uri()}{place}"
    with visit(browser, url) as site:
        if shown:
            site.page.get_by_text(shown).first.wait_for()
        else:
            site.page.wait_for_function(DRAWN)
        assert site.complaints == []
        assert site.requests == []
        assert site.faults() == {}
