"""Plots of the report: SVG without scripts, in the colours of the page around it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pygal
from pygal.etree import etree
from pygal.style import Style

from orchestration.report.listing import Listing, Row
from orchestration.report.terminal import shown, width

SVG = "http://www.w3.org/2000/svg"
GAP = "…"
ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"


class Size(NamedTuple):
    """A size of plots.

    Attributes:
        name: What the page calls it.
        width: In pixels, at which the text has the size that it is to be read in.
        label: How long the name of a bar may be.
        labels: How many columns have a label.
        level: How many labels fit side by side.

    """

    name: str
    width: int
    label: int
    labels: int
    level: int


WIDE = Size("wide", 680, 24, labels=12, level=6)
NARROW = Size("narrow", 330, 12, labels=6, level=3)
STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="var(--ink)",
    foreground_strong="var(--ink)",
    foreground_subtle="var(--line)",
    colors=("var(--accent)",),
    opacity="1",
    opacity_hover="1",
    guide_stroke_color="var(--line)",
    major_guide_stroke_color="var(--line)",
    font_family="inherit",
    label_font_size=15,
    major_label_font_size=15,
)


def plot(listing: Listing, size: Size) -> str:
    """Return the listing's last column over its first, as an SVG element."""
    rows = listing.rows[::-1]  # listed are the newest, or the largest, first
    chart = _columns(rows, size) if listing.plot == "columns" else _bars(rows, size)
    label = f"{listing.title}, the values are in the table below"
    return _embedded(chart.render_tree(), label, size)


def _columns(rows: list[Row], size: Size) -> Any:  # noqa: ANN401
    """Return a column for each month, the oldest first."""
    columns = list(_with_gaps(rows))
    values = [value for _, value in columns]
    every = math.ceil(len(columns) / size.labels)
    chart = pygal.Bar(
        height=320,
        margin_right=36,
        x_label_rotation=45 if len(columns) > size.level else 0,
        show_minor_x_labels=False,
        **_options(size),
    )
    chart.x_labels = [label for label, _ in columns]
    chart.x_labels_major = [GAP, *chart.x_labels[::-every]]
    chart.y_labels = ticks([value for value in values if value is not None])
    chart.add("", values)
    return chart


def _bars(rows: list[Row], size: Size) -> Any:  # noqa: ANN401
    """Return a bar for each row, the last at the top."""
    values = [float(row[-1]) for row in rows]
    # The end of a bar is hard to read off an axis: its value stands beside its name.
    chart = pygal.HorizontalBar(height=30 + 34 * len(rows), show_x_labels=False, **_options(size))
    chart.x_labels = [f"{_cut(shown(row[0]), size.label)}  {row[-1]:,.0f}" for row in rows]
    chart.y_labels = [min(0.0, *values), 0.0, max(0.0, *values)]
    chart.add("", values)
    return chart


def _options(size: Size) -> dict[str, Any]:
    thousands: Callable[[float], str] = lambda value: f"{value:,.0f}"  # noqa: E731
    return {
        "style": STYLE,
        "width": size.width,
        "show_legend": False,
        "js": (),
        "print_values": False,
        "rounded_bars": 2,
        "truncate_label": -1,
        "margin": 8,
        "formatter": thousands,
        "value_formatter": thousands,
        "disable_xml_declaration": True,
    }


def _with_gaps(rows: list[Row]) -> Iterator[tuple[str, float | None]]:
    """Yield label and value of each month, and a gap where months without sales are between."""
    before = None
    for row in rows:
        year, month = map(int, row[0].split("-"))
        number = 12 * year + month
        if before is not None and number > before + 1:
            yield GAP, None
        yield row[0], float(row[-1])
        before = number


def ticks(values: list[float]) -> list[float]:
    """Return round values around all others and 0, some four steps."""
    least, most = min(0.0, *values), max(0.0, *values)
    if least == most:
        return [0.0, 1.0]
    wanted = (most - least) / 4
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= wanted)
    first, last = math.floor(least / step), math.ceil(most / step)
    return [step * number for number in range(first, last + 1)]


def _cut(text: str, most: int) -> str:
    """Return a name, no longer than that; one written from right to left turns no other text."""
    if width(text) > most:
        while width(text) >= most:
            text = text[:-1]
        text += "…"
    turned = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return f"{ISOLATE}{text}{END_OF_ISOLATE}" if turned else text


def _embedded(root: Any, label: str, size: Size) -> str:  # noqa: ANN401
    """Return the SVG as a picture for assistive technology, without pygal's scripts."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("script", f"{{{SVG}}}script"):
                parent.remove(child)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", f"{root.get('class', '')} {size.name}".strip())
    rendered: str = etree.tostring(root, encoding="unicode")
    return rendered
