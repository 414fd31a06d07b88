"""Where chunk files lie between the tasks: a volume that all workers mount, or object storage."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airflow.sdk import ObjectStoragePath

from orchestration.loader import Extract, Plan, Range, extract


def run_folder(staging: str, dag_id: str, run_id: str) -> str:
    """Return the URL of a run's own folder; a run's id may hold what a path must not."""
    name = hashlib.sha256(f"{dag_id}/{run_id}".encode()).hexdigest()[:16]
    return f"{staging.rstrip('/')}/{name}"


def _mounted(url: str) -> Path | None:
    path = ObjectStoragePath(url)
    return Path(path.path) if path.protocol == "file" else None


def make_folder(url: str) -> None:
    """Make a run's folder, and remove what runs that were killed left beside it."""
    own = ObjectStoragePath(url)
    own.parent.mkdir(parents=True, exist_ok=True)
    for folder in own.parent.iterdir():
        if folder.name != own.name and folder.is_dir():
            remove_folder(str(folder))
    own.mkdir(parents=True, exist_ok=True)


def remove_folder(url: str) -> None:
    """Remove a run's folder and all in it, if it is there."""
    mounted = _mounted(url)
    if mounted:
        shutil.rmtree(mounted, ignore_errors=True)
        return
    folder = ObjectStoragePath(url)
    if folder.exists():
        folder.rmdir(recursive=True)


def extract_part(plan: Plan, part: Range, url: str) -> Extract:
    """Extract one range into a run's folder, where the other tasks find it."""
    mounted = _mounted(url)
    if mounted:
        return extract(plan, part, str(mounted))
    with tempfile.TemporaryDirectory(prefix="extract-") as local:
        done = extract(plan, part, local)
        own = Path(done.folder)
        target = ObjectStoragePath(url) / own.name
        target.mkdir(parents=True, exist_ok=True)
        for file in own.iterdir():
            with file.open("rb") as source, (target / file.name).open("wb") as copy:
                shutil.copyfileobj(source, copy)
        return dataclasses.replace(done, folder=str(target))


@contextmanager
def fetched(extracts: Sequence[Extract], name: str) -> Iterator[list[Extract]]:
    """Yield the extracts with the files of one name on this machine.

    Args:
        extracts: What `extract_part` returned for each range.
        name: Name of the file in each extract's folder; where there is none, none is fetched.

    """
    if all("://" not in done.folder for done in extracts):
        yield list(extracts)
        return
    with tempfile.TemporaryDirectory(prefix="chunk-") as local:
        here = []
        for number, done in enumerate(extracts):
            folder = Path(local) / str(number)
            folder.mkdir()
            remote = ObjectStoragePath(done.folder) / name
            if remote.exists():
                with remote.open("rb") as source, (folder / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
            here.append(dataclasses.replace(done, folder=str(folder)))
        yield here
