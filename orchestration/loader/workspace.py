"""A temporary folder that does not outlive its process by long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "load-"


@contextmanager
def workspace(parent: Path) -> Iterator[str]:
    """Yield a new folder that is removed at the end, and remove those of loads that were killed.

    A folder in use is locked, and a lock ends with its process, however that dies.

    Args:
        parent: Where to make it; made itself when it does not exist.

    """
    parent.mkdir(parents=True, exist_ok=True)
    for folder in parent.glob(f"{PREFIX}*"):
        _remove_abandoned(folder)
    # Under a name that nobody removes, until it is locked.
    fresh = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}", dir=parent))
    lock = os.open(fresh, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = fresh.rename(parent / fresh.name.removeprefix("new-"))
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_abandoned(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # its owner has just removed it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
