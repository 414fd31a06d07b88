"""`word_to_number`, beside a cast to numeric and the Python library word2number."""

from __future__ import annotations

import json
from functools import partial

import psycopg
from jinja2 import Environment

from orchestration.bench import peers
from orchestration.bench.measure import Figures, medians, seconds
from orchestration.warehouse import settings

SIZE = 100_000
UNITS = "one two three four five six seven eight nine".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

READ_BY_LIBRARY = ("up to ninety-nine", "hundreds", "thousands", "millions")


def _texts() -> dict[str, list[str]]:
    """Return values of each kind; no two neighbours alike."""
    pairs = [(ten, unit) for ten in TENS for unit in UNITS]
    return {
        "plain numbers": [f"{n * 7 % 9973}.{n % 100:02}" for n in range(1, 1000)],
        "up to ninety-nine": [f"{ten}-{unit}" for ten, unit in pairs],
        "hundreds": [f"{unit} hundred and {ten}-{unit}" for ten, unit in pairs],
        "thousands": [f"{ten} thousand {unit} hundred {ten}" for ten, unit in pairs],
        "millions": [f"{unit} million {ten} thousand and {unit}" for ten, unit in pairs],
        "negatives": [f"minus {ten}-{unit}" for ten, unit in pairs],
        "decimals": [f"{ten}-{unit} point {unit} five" for ten, unit in pairs],
        "currency": [f"${n * 7 % 9973},{n % 1000:03}.00" for n in range(1, 1000)],
    }


def expression(column: str) -> str:
    """Return the SQL that the macro makes of a column."""
    source = (settings.CHECKOUT / "macros" / "cleaning" / "word_to_number.sql").read_text()
    module = Environment(extensions=["jinja2.ext.do"], autoescape=False).from_string(source).module  # noqa: S701
    return str(module.word_to_number(column))  # type: ignore[attr-defined]


def measure(_rows: int, repeat: int) -> Figures:
    """Return values a second on one core, by kind; and the same for a plain cast."""
    runs = []
    texts = _texts()
    with psycopg.connect(settings.conninfo("dev", settings.analyst())) as connection:
        connection.execute("set max_parallel_workers_per_gather = 0")
        for number, values in enumerate(texts.values()):
            connection.execute(f"create temporary table words_{number} (value text)".encode())
            connection.execute(
                f"insert into words_{number} select (%s::text[])[1 + i %% %s]"
                " from generate_series(1, %s) as i".encode(),
                [values, len(values), SIZE],
            )
        for _ in range(repeat):
            took = {"plain numbers: ::numeric": _rate(connection, 0, "value::numeric")}
            for number, kind in enumerate(texts):
                took[kind] = _rate(connection, number, expression("value"))
            for kind in READ_BY_LIBRARY:
                read = peers.run("word2number", json.dumps(texts[kind]))
                took[f"{kind}: word2number in Python, alone"] = read["alone"]
                took[f"{kind}: word2number in Python, of a column"] = read["of a column"]
            runs.append(took)
    return {"values_per_second": medians(runs)}


def _rate(connection: psycopg.Connection, number: int, value: str) -> float:
    """Values a second, without what it takes to read the table."""
    sql = f"select count({{}}) from words_{number}"
    took = seconds(partial(connection.execute, sql.format(value).encode()))
    return SIZE / (took - seconds(partial(connection.execute, sql.format("value").encode())))
