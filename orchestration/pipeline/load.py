"""The steps of a load, as Airflow's tasks call them: JSON in, JSON out, never a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Connection
from psycopg.conninfo import make_conninfo

from orchestration.loader import (
    Extract,
    Load,
    Plan,
    Range,
    begin_set,
    connect,
    finish_load,
    load_chunk,
)
from orchestration.loader.extraction import REJECTS, chunk_file
from orchestration.pipeline import staging
from orchestration.warehouse import settings

Json = dict[str, Any]


def lake() -> str:
    """Return the libpq connection string of Airflow's connection `data_lake`."""
    login = Connection.get("data_lake")
    return make_conninfo(
        host=login.host,
        port=login.port,
        dbname=settings.physical_database(login.schema),
        user=login.login,
        password=login.password,
        connect_timeout=10,
        # A server that is gone is noticed, also in the middle of a statement.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )


def extract_part(plans: Sequence[Json], part: Json, folder: str) -> Json:
    """Extract one range of one file."""
    plan = Plan.from_dict(plans[part["file"]])
    done = staging.extract_part(plan, Range(**part["range"]), folder)
    return {"file": part["file"], **dataclasses.asdict(done)}


def begin(plans: Sequence[Json]) -> list[Json]:
    """Enter the set of loads into the ledger."""
    if not plans:
        return []
    with connect(lake()) as connection:
        loads = begin_set(connection, [Plan.from_dict(plan) for plan in plans])
    return [dataclasses.asdict(load) for load in loads]


def merge_chunk(loads: Sequence[Json], extracts: Sequence[Json], chunk: int) -> list[Json]:
    """Merge one chunk of every file of the set, one file after the other."""
    results = []
    with connect(lake()) as connection:
        for number, load in enumerate(loads):
            own = _extracts(extracts, number)
            with staging.fetched(own, chunk_file("", chunk).name) as here:
                result = load_chunk(connection, Load(**load), chunk, here)
            results.append({"source_file": load["source_file"], **dataclasses.asdict(result)})
    return results


def finish(loads: Sequence[Json], extracts: Sequence[Json]) -> list[Json]:
    """Close the ledger's entries."""
    results = []
    with connect(lake()) as connection:
        for number, load in enumerate(loads):
            with staging.fetched(_extracts(extracts, number), REJECTS) as here:
                result = finish_load(connection, Load(**load), here)
            results.append(dataclasses.asdict(result))
    return results


def _extracts(extracts: Sequence[Json], number: int) -> list[Extract]:
    return [
        Extract(**{name: value for name, value in done.items() if name != "file"})
        for done in extracts
        if done["file"] == number
    ]
