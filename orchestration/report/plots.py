"""Plots of the report: SVG without scripts, in the colours of the page around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

from orchestration.report.facts import Listing
from orchestration.report.terminal import shown

SVG = "http://www.w3.org/2000/svg"
LABEL = 22
LEVEL = 6  # labels that fit side by side
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


def plot(listing: Listing) -> str:
    """Return the listing's last column over its first, as an SVG element."""
    rows = listing.rows[::-1]  # listed are the newest, or the largest, first
    if listing.plot == "columns":
        chart = pygal.Bar(
            height=320,
            x_label_rotation=45 if len(rows) > LEVEL else 0,
            **_options(),
        )
    else:
        chart = pygal.HorizontalBar(height=60 + 34 * len(rows), **_options())
    chart.x_labels = [_label(row[0]) for row in rows]
    values = [float(row[-1]) for row in rows]
    chart.y_labels = _ticks(max(values))
    chart.add("", values)
    root = chart.render_tree()
    return _embedded(root, f"{listing.title}, the values are in the table below")


def _options() -> dict[str, Any]:
    thousands: Callable[[float], str] = lambda value: f"{value:,.0f}"  # noqa: E731
    return {
        "style": STYLE,
        "width": 680,
        "show_legend": False,
        "js": (),
        "print_values": False,
        "rounded_bars": 2,
        "truncate_label": -1,
        "margin": 8,
        "margin_right": 36,
        "formatter": thousands,
        "value_formatter": thousands,
        "disable_xml_declaration": True,
    }


def _ticks(most: float) -> list[float]:
    """Return round values from 0 to beyond `most`, some four steps."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= most / 4)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def _label(value: object) -> str:
    text = shown(value)
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


def _embedded(root: Any, label: str) -> str:  # noqa: ANN401
    """Return the SVG as a picture for assistive technology, without pygal's scripts."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("script", f"{{{SVG}}}script"):
                parent.remove(child)
    root.set("role", "img")
    root.set("aria-label", label)
    rendered: str = etree.tostring(root, encoding="unicode")
    return rendered
