"""Where files come from: the one place to extend when they lie in object storage."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def open_binary(path: str) -> BinaryIO:
    """Open a source file for reading bytes; it can be sought.

    Raises:
        OSError: It does not exist or cannot be read.

    """
    return Path(path).open("rb")


def base_name(path: str) -> str:
    r"""Return the file's name as text that PostgreSQL can hold; odd bytes are shown as \xNN."""
    return Path(path).name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
