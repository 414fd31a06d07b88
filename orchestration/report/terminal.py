"""The report as text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from orchestration.report.facts import Facts
from orchestration.report.listing import Listing, Row

SHORT = 100
MESSAGE = 400  # of the last column, which nothing stands beside


def text(facts: Facts) -> str:
    """Return the report, laid out for a terminal, where the end is what is seen first."""
    tables = [listing for listing in facts.listings if listing.brief]
    figures = (f"{name}: {shown(value)}" for name, value in facts.figures.items())
    parts = [
        *(_table(listing) for listing in tables if not listing.urgent),
        "\n".join(figures),
        *facts.remarks,
        *(_table(listing) for listing in tables if listing.urgent),
        f"{facts.database}: {facts.verdict}: {facts.summary}",
    ]
    return "\n\n".join(parts)


def shown(value: object) -> str:
    """Return a value as people read it; control characters are shown, not obeyed."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal | float):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return "".join(character if character.isprintable() else "·" for character in str(value))


def numeric(listing: Listing) -> list[bool]:
    """Return which columns hold numbers, and are aligned to the right."""
    return [
        any(isinstance(value, int | float | Decimal) for value in column)
        for column in zip(*listing.rows, strict=True)
    ]


def _table(listing: Listing) -> str:
    rows = listing.rows[: listing.brief]
    title = listing.title
    if len(rows) < listing.total:
        title += f" ({len(rows)} of {listing.total:,})"
    lines = [listing.columns, *(_cells(row) for row in rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join([title, *(_line(line, widths, numeric(listing)) for line in lines)])


def _line(line: Iterable[str], widths: list[int], right: list[bool]) -> str:
    cells = []
    for text, most, numeric in zip(line, widths, right, strict=True):
        space = " " * (most - width(text))
        cells.append(f"{space}{text}" if numeric else f"{text}{space}")
    return ("  " + "  ".join(cells)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    *first, last = map(shown, row)
    return (*(_short(text, SHORT) for text in first), _short(last, MESSAGE))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
