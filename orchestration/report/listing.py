"""A table of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Row = tuple[Any, ...]
EXAMPLES = 10


@dataclass(frozen=True)
class Listing:
    """A table of the report.

    Attributes:
        title: What it shows.
        columns: Names of the columns.
        rows: The rows that are shown.
        total: How many there are.
        brief: How many of them the terminal shows.
        plot: Whether the page plots the last column over the first, and as what.
        urgent: Whether the page shows it before anything else.

    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    total: int
    brief: int = EXAMPLES
    plot: Literal["bars", "columns"] | None = None
    urgent: bool = False


def some(
    title: str,
    columns: tuple[str, ...],
    rows: list[Row],
    most: int = EXAMPLES,
    *,
    brief: int = EXAMPLES,
    plot: Literal["bars", "columns"] | None = None,
) -> Listing:
    """Return a listing of the first rows."""
    return Listing(title, columns, rows[:most], len(rows), brief, plot)
