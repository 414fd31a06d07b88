"""Which files wait in the landing folder, and the plan of how to load them as one set."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from typing import Any

from airflow.sdk import ObjectStoragePath

from orchestration.loader import LoaderError, RefusedError, Survey, connect, plan_set, survey
from orchestration.loader.layout import TRANSACTIONS
from orchestration.loader.storage import base_name, open_binary
from orchestration.warehouse.layouts import tables

SETTLE_SECONDS = 3.0
# Airflow maps a task at most 1024 times; what is more waits for the next run.
MAX_PARTS = 1000
BLOCK_BYTES = 1 << 20

# SHA-256 of the content, by table and file name.
Known = dict[tuple[str, str], str]

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _File:
    table: str
    path: str
    modified: float
    size: int


def _files(landing: str) -> list[_File]:
    """Return the CSV files in the order in which they arrived.

    Transactions lie in the folder itself, files of any other layout in a folder within, which is
    named as their table.
    """
    folder = ObjectStoragePath(landing)
    if not folder.is_dir():
        raise LoaderError(f"the landing folder {landing} does not exist; make it, or mount it")
    folders = {TRANSACTIONS.table: folder} | {
        table: folder / table for table in tables() if table != TRANSACTIONS.table
    }
    found = []
    for table, own in folders.items():
        for path in own.iterdir() if own.is_dir() else ():
            if path.name.startswith(".") or not path.name.lower().endswith(".csv"):
                continue
            if path.is_file():
                status = path.stat()
                # On a mounted volume the loader reads the file itself, without detour.
                name = path.path if path.protocol == "file" else str(path)
                found.append(_File(table, name, status.st_mtime, status.st_size))
    return sorted(found, key=lambda file: (file.modified, file.path))


def _settled(landing: str) -> list[_File]:
    """Leave out the files that somebody is still writing; the next run takes them."""
    found = _files(landing)
    if any(time.time() - file.modified < SETTLE_SECONDS for file in found):
        time.sleep(SETTLE_SECONDS)
        again = _files(landing)
        for file in set(again) - set(found):
            log.info("%s is still being written; the next run takes it", file.path)
        return [file for file in again if file in found]
    return found


def _is_known(file: _File, known: Known) -> bool:
    """Whether the last load of a file of this name into its table had this content."""
    name = file.table, base_name(file.path)
    if name not in known:
        return False
    digest = hashlib.sha256()
    with open_binary(file.path) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest() == known[name]


def _known(conninfo: str) -> Known:
    """Return the content of each table's file names as the ledger last saw it."""
    with connect(conninfo) as connection:
        rows = connection.execute(
            "select distinct on (table_name, source_file) table_name, source_file, content_sha256"
            " from forex.load_ledger where finished_at is not null"
            " order by table_name, source_file, load_id desc"
        ).fetchall()
    return {(table, name): digest for table, name, digest in rows}


def plan_new_files(
    landing: str, conninfo: str, rows_per_chunk: int, parallel_chunks: int
) -> dict[str, Any]:
    """Plan the load of every file that the ledger does not know, as one set.

    Args:
        landing: URL of the landing folder.
        conninfo: libpq connection string of the lake, as the role `loader`.
        rows_per_chunk: About how many rows to merge in one transaction.
        parallel_chunks: How many chunks will be merged at a time.

    Returns:
        What the other tasks need, as JSON: `plans`, in order, without their ranges; `parts`, each
        a range and the number of its file; `refused`, why files are not loaded; `waiting`, how
        many files are left for the next run.

    """
    known = _known(conninfo)
    surveys: list[Survey] = []
    refused: list[str] = []
    waiting = parts = 0
    for file in _settled(landing):
        try:
            if _is_known(file, known):
                continue
            surveyed = survey(file.path, file.table)
        except RefusedError as error:
            log.error("%s", error)
            refused.append(str(error))
            continue
        if waiting or parts + len(surveyed.ranges) > MAX_PARTS:
            waiting += 1
            continue
        surveys.append(surveyed)
        parts += len(surveyed.ranges)
        log.info("%s will be loaded", file.path)
    plans = plan_set(surveys, parallel_chunks, rows_per_chunk)
    return {
        "plans": [dataclasses.asdict(dataclasses.replace(planned, ranges=[])) for planned in plans],
        "parts": [
            {"file": number, "range": dataclasses.asdict(part)}
            for number, planned in enumerate(plans)
            for part in planned.ranges
        ],
        "refused": refused,
        "waiting": waiting,
    }
