"""Which files there are: a TOML file for each layout, named as its landing table.

What provisioning makes the landing tables of, and what the loader checks headers against.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestration.warehouse.errors import UserError

FOLDER = Path(__file__).parent
# What each landing table has beside the columns of its file.
LINEAGE = ("source_file", "source_line", "load_timestamp", "load_xid")


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file, and so of its landing table."""

    table: str  # in the schema `forex`
    key: str  # the column that tells rows apart
    columns: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The columns but the key."""
        return tuple(column for column in self.columns if column != self.key)


def tables() -> list[str]:
    """Return the names of all landing tables."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def layout(table: str) -> Layout:
    """Return the layout of the files of a landing table.

    Args:
        table: Name of the table.

    Raises:
        UserError: There is no such table.

    """
    if table not in tables():
        raise UserError(
            f"{table!r} is no landing table; there is {', '.join(tables())}, and `make new-source`"
            " makes one"
        )
    fields = tomllib.loads((FOLDER / f"{table}.toml").read_text())
    return Layout(table, fields["key"], tuple(fields["columns"]))
