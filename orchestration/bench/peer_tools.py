"""Other tools do the same upsert; run in `.venv-bench`, so nothing of the project is imported.

`python peer_tools.py TOOL FILE SETTINGS` upserts a CSV file into `peer.<tool>` by `transaction_id`
and prints how many rows the table has then. Each tool is used as its documentation shows: the
file as text columns, staged, merged.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import sys
import time
from pathlib import Path

KEY = "transaction_id"
REPEATED = 1000  # texts of word2number


def _columns(path: str) -> list[str]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def _url(server: dict[str, str], scheme: str = "postgresql") -> str:
    login = f"{server['user']}:{server['password']}@{server['host']}:{server['port']}"
    return f"{scheme}://{login}/{server['dbname']}"


def _merge(table: str, staged: str, columns: list[str]) -> str:
    values = [column for column in columns if column != KEY]
    updates = ", ".join(f"{column} = excluded.{column}" for column in values)
    return (
        f"insert into {table} ({', '.join(columns)}) select {', '.join(columns)} from {staged}"
        f" on conflict ({KEY}) do update set {updates}"
    )


def _table(table: str, columns: list[str]) -> str:
    typed = ", ".join(f"{column} text" for column in columns)
    return f"create table if not exists {table} ({typed}, primary key ({KEY}))"


def pandas_to_sql(path: str, server: dict[str, str]) -> None:
    """`read_csv`, `to_sql` with multi-row inserts into a staging table, then an upsert."""
    import pandas as pd
    import sqlalchemy as sa

    engine = sa.create_engine(_url(server, "postgresql+psycopg2"))
    columns = _columns(path)
    with engine.begin() as connection:
        connection.execute(sa.text(_table("peer.pandas_to_sql", columns)))
        for number, chunk in enumerate(
            pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=50_000)
        ):
            chunk.to_sql(
                "pandas_staged",
                connection,
                schema="peer",
                index=False,
                if_exists="append" if number else "replace",
                method="multi",
                chunksize=1000,
            )
        connection.execute(sa.text(_merge("peer.pandas_to_sql", "peer.pandas_staged", columns)))


def adbc(path: str, server: dict[str, str]) -> None:
    """`pyarrow.csv`, ADBC's bulk ingestion (COPY), then an upsert."""
    import adbc_driver_postgresql.dbapi as dbapi
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns = _columns(path)
    reader = arrow_csv.open_csv(
        path,
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    )
    with dbapi.connect(_url(server)) as connection, connection.cursor() as cursor:
        cursor.execute(_table("peer.adbc", columns))
        cursor.adbc_ingest("adbc_staged", reader, mode="replace", db_schema_name="peer")
        cursor.execute(_merge("peer.adbc", "peer.adbc_staged", columns))
        connection.commit()


def duckdb(path: str, server: dict[str, str]) -> None:
    """`read_csv` into a staging table of the attached database (COPY), then an upsert there."""
    import duckdb
    import duckdb_extension_postgres_scanner as extension

    columns = _columns(path)
    file = next(Path(extension.__file__).parent.rglob("*.duckdb_extension"))
    login = " ".join(f"{name}={value}" for name, value in server.items())
    with duckdb.connect() as connection:
        connection.execute(f"load '{file}'")
        connection.execute(f"attach '{login}' as lake (type postgres)")

        def run(statement: str) -> None:
            connection.execute("call postgres_execute('lake', ?)", [statement])

        run(_table("peer.duckdb", columns))
        run("drop table if exists peer.duckdb_staged")
        run(_table("peer.duckdb_staged", columns).replace(f", primary key ({KEY})", ""))
        connection.execute(
            "insert into lake.peer.duckdb_staged"
            " select * from read_csv(?, all_varchar = true, header = true)",
            [path],
        )
        run(_merge("peer.duckdb", "peer.duckdb_staged", columns))


def dlt(path: str, server: dict[str, str]) -> None:
    """Run a resource of Arrow tables with the write disposition merge, strategy upsert."""
    import dlt
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns = _columns(path)

    @dlt.resource(
        name="dlt",
        primary_key=KEY,
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    def rows():  # type: ignore[no-untyped-def]  # noqa: ANN202
        options = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        )
        for batch in arrow_csv.open_csv(path, convert_options=options):
            yield pa.Table.from_batches([batch])

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(_url(server)),
        dataset_name="peer",
        pipelines_dir=os.environ["DLT_DATA_DIR"],
    )
    pipeline.run(rows())


TOOLS = {"pandas_to_sql": pandas_to_sql, "adbc": adbc, "duckdb": duckdb, "dlt": dlt}


def word2number(texts: list[str], server: dict[str, str]) -> dict[str, float]:
    """Return texts a second that the library reads, and with the way from a column and back."""
    import psycopg2
    from word2number import w2n

    started = time.perf_counter()
    for text in texts:
        w2n.word_to_num(text)
    read = time.perf_counter()
    with psycopg2.connect(_url(server)) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table words as select unnest(%s) as value", [texts])
        cursor.execute("create temporary table numbers (value numeric)")
        began, given, made = time.perf_counter(), io.StringIO(), io.StringIO()
        cursor.copy_expert("copy words to stdout", given)
        made.writelines(f"{w2n.word_to_num(line)}\n" for line in given.getvalue().splitlines())
        made.seek(0)
        cursor.copy_expert("copy numbers from stdin", made)
        ended = time.perf_counter()
    return {
        "alone": len(texts) / (read - started),
        "of a column": len(texts) / (ended - began),
    }


def main() -> None:
    """Run one tool; print what came of it as JSON."""
    logging.disable(logging.CRITICAL)
    tool, argument, server = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read())
    if tool == "word2number":
        print(json.dumps(word2number(json.loads(argument) * REPEATED, server)))
        return
    started = time.perf_counter()
    try:
        TOOLS[tool](argument, server)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else ""
        print(json.dumps({"error": f"{type(error).__name__}: {reason}"[:200]}))
    else:
        print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
