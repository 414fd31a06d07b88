"""The exporters: `python -m orchestration.observability.exporter warehouse|airflow`.

Each stands in the network of one database, and asks it once a scrape; a database that does not
answer makes the scrape fail, so that nobody takes old figures for new ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

from orchestration.observability.exporter import airflow, warehouse
from orchestration.observability.exporter.exposition import CONTENT_TYPE, Metric, render

PORT = 9400
TIMEOUT_SECONDS = 8


def _connect(host: str, database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=host,
        port=os.environ.get("MONITOR_PORT", "5432"),
        dbname=database,
        user="monitor",
        password=Path(os.environ["MONITOR_PASSWORD_FILE"]).read_text(),
        connect_timeout=TIMEOUT_SECONDS,
        options=f"-c statement_timeout={TIMEOUT_SECONDS}s -c default_transaction_read_only=on",
        application_name="exporter",
    )


def of_warehouse() -> Iterator[Metric]:
    """Return the metrics of loads and builds."""
    host = os.environ.get("MONITOR_HOST", "postgres-dbt")
    # On a Citus cluster the lake is a schema of `pro`.
    with _connect(host, os.environ.get("LAKE_DATABASE", "data_lake")) as connection:
        yield from warehouse.collect(
            connection, Path(os.environ["DBT_TARGET_PATH"]), Path("/volumes")
        )


def of_airflow() -> Iterator[Metric]:
    """Return the metrics of runs."""
    with _connect(os.environ.get("MONITOR_HOST", "postgres-airflow"), "airflow") as connection:
        yield from airflow.collect(connection, int(os.environ["EXPECTED_WORKERS"]))


COLLECTORS: dict[str, Callable[[], Iterator[Metric]]] = {
    "warehouse": of_warehouse,
    "airflow": of_airflow,
}


def handler(collect: Callable[[], Iterator[Metric]]) -> type[BaseHTTPRequestHandler]:
    """Return what answers a scrape."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            try:
                body = render(collect()).encode()
            except (psycopg.Error, OSError, ValueError, KeyError) as error:
                self.log_error("%s", error)
                self.send_error(503, "the figures could not be read; see the exporter's log")
                return
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Say nothing of a scrape that went well."""

    return Handler


def main() -> int:
    """Run the command line."""
    address = ("", PORT)
    ThreadingHTTPServer(address, handler(COLLECTORS[sys.argv[1]])).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
