"""Where files come from: a file system, or object storage that Airflow's connections log in to."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def open_binary(path: str) -> BinaryIO:
    """Open a source file for reading bytes; it can be sought.

    Args:
        path: A path, or inside Airflow also a URL of object storage.

    Raises:
        OSError: It does not exist or cannot be read.

    """
    if "://" in path:
        from airflow.sdk import ObjectStoragePath

        stream: BinaryIO = ObjectStoragePath(path).open("rb")
        return stream
    return Path(path).open("rb")


def base_name(path: str) -> str:
    r"""Return the file's name as text that PostgreSQL can hold; odd bytes are shown as \xNN."""
    return Path(path).name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
