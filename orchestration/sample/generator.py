"""Seeded transactions with the dirt that the cleaning is for.

The same arguments give the same rows on every machine: of Python's generator only `random()` is
used, whose sequence is guaranteed. Customers, products and places grow with the number of rows,
each at its own pace, as they do in a business that grows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta

FIRST_NAMES = (
    "Ada Ben Chloé Dmitri Elif Farid Grace Hana Ines João Kofi Lena Mei Nadia Olga Pia "
    "Quentin Rosa Seán Tomás Uma Vera Wei Ximena Yara Zoltán"
).split()
LAST_NAMES = (
    "Abara Bianchi Castro Dupont Eriksen Fischer García Horvat Ivanova Jensen Kowalski Larsen "
    "Moreau Novák O'Brien Peeters Quinn Rossi Sato Tanaka Ulrich Virtanen Weber Xu Yilmaz Zhang"
).split()
PLACES = (
    ("Spain", "Madrid"),
    ("Spain", "Valencia"),
    ("France", "Lyon"),
    ("Germany", "Köln"),
    ("Italy", "Torino"),
    ("Portugal", "Porto"),
    ("Norway", "Bergen"),
    ("Poland", "Kraków"),
    ("Ireland", "Cork"),
    ("Greece", "Patras"),
    ("Switzerland", "Zürich"),
    ("Denmark", "Aarhus"),
    ("Japan", "Osaka"),
    ("Ghana", "Accra"),
    ("Brazil", "Recife"),
    ("Mexico", "Puebla"),
)
FIRST_DAY = date(2023, 7, 1)
DATE_FORMATS = ("%Y-%m-%d",) * 15 + (
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d/%m/%Y",
    "%d-%m-%y",
    "%Y-%m-%d %H:%M:%S",
)
NUMBER_WORDS = {
    "Two Hundred": "200",
    "Fifteen": "15",
    "one hundred and five": "105",
    "Ninety-Nine": "99",
}
WORDS = tuple(NUMBER_WORDS)


def transactions(rows: int, seed: int = 1, defects: float = 0.0) -> Iterator[list[str]]:
    """Yield `rows` records in the order of the loader's layout.

    Args:
        rows: How many; the ids start at 1001.
        seed: Another seed gives other rows.
        defects: Share, 0 to 1, of rows with something that cannot be landed or cleaned.

    """
    rng = random.Random(seed)  # noqa: S311 - made-up data, not a secret
    customers = max(1, math.ceil(rows * 0.6))
    products = max(5, math.ceil(math.sqrt(rows) / 4))
    cities = max(1, math.ceil(rows**0.4 / len(PLACES)))
    days = max(92, math.ceil(math.sqrt(rows)))

    def pick(n: int) -> int:
        return int(rng.random() * n)

    for number in range(rows):
        # Squared: a few customers buy much, most buy little.
        customer = int(rng.random() ** 2 * customers)
        first = FIRST_NAMES[customer % len(FIRST_NAMES)]
        last = LAST_NAMES[customer // len(FIRST_NAMES) % len(LAST_NAMES)]
        country, city = PLACES[pick(len(PLACES))]
        district = pick(cities)
        product = pick(products)
        day = FIRST_DAY + timedelta(days=pick(days))
        record = [
            f"{'T' if rng.random() < 0.1 else ''}{1001 + number}",
            "" if rng.random() < 0.1 else f"{500 + customer}.0",
            day.strftime(DATE_FORMATS[pick(len(DATE_FORMATS))]),
            f"{'P' if rng.random() < 0.2 else ''}{100 + product}",
            f"Product {product + 1}",
            "" if rng.random() < 0.15 else f"{1 + pick(5)}.0",
            WORDS[pick(4)] if rng.random() < 0.05 else f"{5 + rng.random() * 295:.2f}",
            WORDS[1] if rng.random() < 0.05 else f"{1 + rng.random() * 29:.2f}",
            first,
            last,
            f"{first}.{last}.{customer}@example.com".lower().replace("'", ""),
            f"+34-600-{customer // 10000:03d}-{customer % 10000:04d}",
            country,
            f"{city} {district}" if district else city,
        ]
        if rng.random() < defects:
            _spoil(record, pick(5))
        yield record


def _spoil(record: list[str], how: int) -> None:
    if how == 0:
        record[2] = "31-02-2023"
    elif how == 1:
        record[6] = "ask the manager"
    elif how == 2:
        record[8] = " "
    elif how == 3:
        record[0] = ""
    else:
        record.pop()
