"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from orchestration.report.facts import Facts
from orchestration.report.listing import Listing
from orchestration.report.plots import NARROW, WIDE, plot
from orchestration.report.terminal import numeric, shown

# The colour of an outcome, which is there as a word as well.
MARKS = {
    **dict.fromkeys(("success", "pass", "no-op"), "good"),
    **dict.fromkeys(("warn", "skipped"), "warning"),
    **dict.fromkeys(("error", "fail", "runtime error"), "bad"),
}


def render(facts: Facts) -> str:
    """Return the page. Whatever the data holds is text in it."""
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(shown=shown, plots=_plots, numeric=numeric, marked=MARKS.get)
    return jinja.get_template("page.html.jinja").render(facts=facts)


def _plots(listing: Listing) -> list[Markup]:
    """Return the plot for wide windows and for narrow ones; the page shows the one that fits."""
    # pygal builds a tree: text from the data is a text node in it, never markup.
    return [Markup(plot(listing, size)) for size in (WIDE, NARROW)]  # noqa: S704
