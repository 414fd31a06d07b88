"""The report as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from orchestration.report.facts import Facts, Listing

MESSAGE = 100


def text(facts: Facts) -> str:
    """Return the report, laid out for a terminal."""
    parts = [_table(listing) for listing in facts.listings if listing.brief]
    figures = (f"{name}: {shown(value)}" for name, value in facts.figures.items())
    return "\n\n".join([*parts, "\n".join(figures), *facts.remarks])


def shown(value: object) -> str:
    """Return a value as people read it; control characters are shown, not obeyed."""
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
    lines = [listing.columns, *(tuple(_short(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join([title, *(_line(line, widths, numeric(listing)) for line in lines)])


def _line(line: Iterable[str], widths: list[int], right: list[bool]) -> str:
    cells = (
        text.rjust(width) if numeric else text.ljust(width)
        for text, width, numeric in zip(line, widths, right, strict=True)
    )
    return ("  " + "  ".join(cells)).rstrip()


def _short(value: Any) -> str:  # noqa: ANN401
    text = shown(value)
    return text if len(text) <= MESSAGE else f"{text[: MESSAGE - 1]}…"
