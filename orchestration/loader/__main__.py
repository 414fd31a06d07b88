"""Load CSV files into the lake: `python -m orchestration.loader SOURCE`.

Exits with 0 when all files are loaded, 3 when some are and others were refused, 2 when none is.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import psycopg

from orchestration.loader.database import Connection, connect
from orchestration.loader.errors import LoaderError, RefusedError
from orchestration.loader.layout import TRANSACTIONS
from orchestration.loader.ledger import LoadResult
from orchestration.loader.planning import DEFAULT_ROWS_PER_CHUNK
from orchestration.loader.run import load_file, worker_pool
from orchestration.warehouse import settings
from orchestration.warehouse.errors import one_line
from orchestration.warehouse.layouts import layout

MAX_DEFAULT_WORKERS = 8


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orchestration.loader",
        description="Load CSV files into the lake; bad lines go to forex.rejected_row.",
    )
    parser.add_argument("source", help="a CSV file, or a folder of which every *.csv is loaded")
    parser.add_argument(
        "--table",
        default=TRANSACTIONS.table,
        help="the landing table, which tells what columns the files have (default %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=min(os.cpu_count() or 1, MAX_DEFAULT_WORKERS),
        help="processes at once (default: one per processor, here %(default)s)",
    )
    parser.add_argument(
        "--rows-per-chunk",
        type=_positive,
        default=DEFAULT_ROWS_PER_CHUNK,
        help="about how many rows one transaction merges (default %(default)s)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 upwards")
    return int(text)


def _files(source: str) -> list[str]:
    path = Path(source)
    try:
        if path.is_file():
            return [source]
        if not path.exists():
            raise LoaderError(f"{source} does not exist; give a CSV file or a folder of them")
        files = sorted(str(file) for file in path.glob("*.csv") if file.is_file())
    except PermissionError as error:
        raise LoaderError(f"{source} cannot be read ({error.strerror}); mend its rights") from error
    if not files:
        raise LoaderError(f"{source} is a folder without any *.csv file; give one that has some")
    return files


def _connect(conninfo: str) -> Connection:
    try:
        return connect(conninfo)
    except psycopg.OperationalError as error:
        raise LoaderError(
            f"no connection to PostgreSQL at {settings.host()}:{settings.port()}"
            f" ({_reason(error)}); `make server` starts it"
        ) from error


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _summary(result: LoadResult, seconds: float) -> str:
    text = (
        f"{result.source_file}: {result.rows_read:,} rows read:"
        f" {result.rows_inserted:,} inserted, {result.rows_updated:,} updated,"
        f" {result.rows_unchanged:,} unchanged, {result.rows_superseded:,} superseded,"
        f" {result.rows_rejected:,} rejected ({seconds:.1f} s)"
    )
    return f"{text}; forex.rejected_row tells why" if result.rows_rejected else text


class _Display:
    """One line on a terminal that tells how far a file is; nothing where there is no terminal."""

    def __init__(self) -> None:
        self.name = ""
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def progress(self, step: str, done: int, total: int) -> None:
        self.show(f"{self.name}: {step} {100 * done // total} %")

    def waiting(self) -> None:
        self.show("")
        print(f"{self.name}: waiting until another load has finished", file=sys.stderr)


def _load_all(arguments: argparse.Namespace) -> int:
    layout(arguments.table)
    files = _files(arguments.source)
    conninfo = settings.conninfo("data_lake", "loader")
    display = _Display()
    loaded = 0
    with _connect(conninfo) as connection, worker_pool(arguments.workers) as pool:
        for path in files:
            display.name = Path(path).name
            started = time.monotonic()
            try:
                result = load_file(
                    path,
                    connection=connection,
                    conninfo=conninfo,
                    pool=pool,
                    workers=arguments.workers,
                    rows_per_chunk=arguments.rows_per_chunk,
                    folder=settings.CHECKOUT / ".cache",
                    table=arguments.table,
                    progress=display.progress,
                    waiting=display.waiting,
                )
            except RefusedError as error:
                display.show("")
                print(f"error: {error}", file=sys.stderr)
            else:
                loaded += 1
                display.show("")
                print(_summary(result, time.monotonic() - started), flush=True)
    return 0 if loaded == len(files) else 3 if loaded else 2


@one_line
def main() -> int:
    """Run the command line."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clean-up happens
    try:
        return _load_all(arguments)
    except psycopg.Error as error:
        raise LoaderError(
            f"PostgreSQL stopped the load ({_reason(error)}); `make server` makes the server"
            " ready, then load again"
        ) from error
    except OSError as error:
        raise LoaderError(f"the load stopped ({error}); mend that and load again") from error
    except KeyboardInterrupt:
        print("interrupted; load again to finish", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
