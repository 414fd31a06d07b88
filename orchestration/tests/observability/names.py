"""The names of the metrics that are ours."""

import re
from pathlib import Path

import yaml

from orchestration.warehouse.settings import CHECKOUT

OBSERVABILITY = CHECKOUT / "orchestration/observability"


def mappings() -> list[dict]:
    found: list[dict] = yaml.safe_load((OBSERVABILITY / "statsd/mapping.yml").read_text())[
        "mappings"
    ]
    return found


def produced() -> set[str]:
    """Names that the StatsD mapping and our exporters give."""
    sources = [file.read_text() for file in Path(OBSERVABILITY / "exporter").glob("*.py")]
    ours = {name for text in sources for name in re.findall(r'(?:gauge|counter)\(\s*"(\w+)"', text)}
    return ours | {mapping["name"] for mapping in mappings()}
