"""The seeded files that are loaded; made once, kept in `.cache/bench/`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from orchestration.loader.layout import COLUMNS
from orchestration.sample.generator import transactions
from orchestration.warehouse.settings import CHECKOUT

FOLDER = CHECKOUT / ".cache" / "bench"
DEFECTS = 0.01
BLOCK = 1000
PRICE = COLUMNS.index("price")


def base(rows: int, defects: float = DEFECTS) -> Path:
    """Return a file of so many rows, a share of them with something wrong."""
    return _written(f"{rows}-{defects:g}.csv", transactions(rows, seed=1, defects=defects))


def changed(rows: int, share: float = 0.01, defects: float = DEFECTS) -> Path:
    """Return the same file with another price in a share of its rows."""
    every = round(1 / share)
    name = f"{rows}-{defects:g}-changed.csv"
    return _written(name, _repriced(transactions(rows, seed=1, defects=defects), every, "77.77"))


def some(rows: int, count: int, price: str) -> Path:
    """Return a file with `count` rows of the base file, evenly spread, each at a new price."""
    every = max(1, rows // count)
    picked = (
        record
        for number, record in enumerate(transactions(rows, seed=1, defects=DEFECTS))
        if number % every == 0
    )
    return _written(f"{rows}-some-{price}.csv", _repriced(picked, 1, price))


def good_blocks(path: Path) -> list[bytes]:
    """Return the lines that any loader can land, in blocks, for those that check nothing."""
    with path.open("rb") as file:
        next(file)
        good = (
            line
            for line in file
            if line.count(b",") == len(COLUMNS) - 1 and not line.startswith(b",")
        )
        return [b"".join(block) for block in iter(lambda: list(islice(good, BLOCK)), [])]


def _repriced(records: Iterable[list[str]], every: int, price: str) -> Iterable[list[str]]:
    for number, record in enumerate(records):
        if number % every == 0 and len(record) > PRICE:
            record[PRICE] = price
        yield record


def _written(name: str, records: Iterable[list[str]]) -> Path:
    path = FOLDER / name
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(records)
        fresh.rename(path)
    return path
