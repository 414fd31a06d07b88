"""Loading made short: each test says what is in a file, and what the lake holds afterwards."""

from concurrent.futures import Executor, Future
from pathlib import Path

import psycopg
import pytest
from loader_reference import Model, as_csv

from orchestration.loader import connect, load_file
from orchestration.loader.layout import COLUMNS


class Inline(Executor):
    """Runs each task at once, in this process."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Loading:
    """Loads files into the test server's lake, and shows what is there."""

    def __init__(self, lake, conninfo, folder):
        self.lake = lake
        self.conninfo = conninfo
        self.folder = folder
        self.connection = connect(conninfo)
        self.model = Model()

    def path(self, data, name="file.csv"):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def __call__(self, content, name="file.csv", *, workers=4, rows_per_chunk=100_000):
        """Load bytes, or rows, as a file; return what the loader returns."""
        data = content if isinstance(content, bytes) else as_csv(content)
        return load_file(
            self.path(data, name),
            connection=self.connection,
            conninfo=self.conninfo,
            pool=Inline(),
            workers=workers,
            rows_per_chunk=rows_per_chunk,
            folder=self.folder / "work",
        )

    def rows(self):
        """Return {id: (values in the order of COLUMNS, file, line)}."""
        found = self.lake.execute(
            f"select {', '.join(COLUMNS)}, source_file, source_line"
            " from forex.customer_transactions"
        )
        return {row[0]: (row[:-2], *row[-2:]) for row in found}

    def value(self, key, column):
        return self.rows()[key][0][COLUMNS.index(column)]

    def versions(self):
        """Return what changes when a row is written, whatever is written."""
        return dict(
            self.lake.execute(
                "select transaction_id, (xmin, ctid, load_timestamp)::text"
                " from forex.customer_transactions"
            )
        )

    def rejected(self):
        return set(
            self.lake.execute(
                "select source_file, source_line, reason, raw_line from forex.rejected_row"
            )
        )

    def reasons(self):
        return {line: reason for _, line, reason, _ in self.rejected()}

    def ledger(self):
        return self.lake.execute(
            "select source_file, rows_read, rows_inserted, rows_updated, rows_unchanged,"
            " rows_superseded, rows_rejected from forex.load_ledger"
            " where finished_at is not null order by load_id"
        ).fetchall()

    def must_equal(self, model):
        assert self.rows() == model.lake
        assert self.rejected() == model.rejected
        assert self.ledger() == model.ledger


@pytest.fixture
def loading(lake, server, tmp_path):
    loading = Loading(lake, server("data_lake", "loader"), tmp_path)
    yield loading
    loading.connection.close()


@pytest.fixture
def checkout():
    return Path(__file__).resolve().parents[3]


@pytest.fixture
def loader_connection(server):
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as connection:
        yield connection
