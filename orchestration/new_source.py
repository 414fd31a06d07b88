"""Write what every new kind of file needs: its layout, its dbt source and its bronze view.

`python -m orchestration.new_source refunds --sample refunds.csv --key refund_id`, or
`make new-source NAME=refunds SAMPLE=refunds.csv KEY=refund_id`; docs/new-source.md goes on from
there.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from pathlib import Path

from sqlfluff.core.dialects import dialect_selector

from orchestration.warehouse.errors import UserError, one_line
from orchestration.warehouse.layouts import LINEAGE, Layout
from orchestration.warehouse.settings import CHECKOUT

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
RULE = "up to 40 lower-case letters, digits and underscores, a letter first"
LANDING = CHECKOUT / "orchestration/warehouse/provisioning/landing.sql"
# Reserved as well, but not in sqlfluff's list; and PostgreSQL's own columns of every table.
RESERVED = {"collation", "current_user", "system_user", "table", "user"}
SYSTEM_COLUMNS = {"ctid", "cmin", "cmax", "tableoid", "xmin", "xmax"}

SOURCE = """\
sources:
  - name: forex
    schema: data_lake
    tables:
      - name: {table}
        description: One row per `{key}`, as the last file that named it gave it; all text.
        config:
          loaded_at_field: load_timestamp
          freshness:
            warn_after: {{count: 24, period: hour}}
            error_after: {{count: 72, period: hour}}
        columns:
          - name: {key}
            description: The landing table's primary key.
            data_tests: [not_null]
          - name: load_timestamp
            description: Start of the load that last changed the row.
            data_tests: [not_null]
          - name: load_xid
            description: Number of the database transaction that last wrote the row.
"""
VIEW = """\
{{{{ config(materialized='view') }}}}

select
    {columns}
from {{{{ source('forex', '{table}') }}}}
"""
PROPERTIES = """\
models:
  - name: {table}
    description: 'The landing table, as is: one row per `{key}`. A view; nothing is copied.'
    columns:
{columns}
"""
COLUMN = """\
      - name: {name}
        description: {description}
"""
KEY_TESTS = """\
        data_tests:
          - not_null
          - unique
"""
LINEAGE_DESCRIPTIONS = {
    name: f"\"{{{{ doc('{name}') }}}}\""
    for name in ("source_file", "source_line", "load_timestamp")
} | {"load_xid": "Number of the database transaction that last wrote the landing row."}


def header(sample: Path) -> list[str]:
    """Return the names in the first line of a CSV file."""
    try:
        with sample.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{sample} cannot be read ({reason}); give a CSV file with a header"
        ) from error


def checked(table: str, columns: list[str], key: str) -> Layout:
    """Return the layout, all of whose names can stand unquoted in SQL.

    Args:
        table: Name of the landing table, and of its bronze view.
        columns: Names in the header of the files.
        key: The column that tells rows apart.

    Raises:
        UserError: A name is unfit, or taken.

    """
    keywords = dialect_selector("postgres").sets("reserved_keywords")
    unfit = {word.lower() for word in keywords} | RESERVED | SYSTEM_COLUMNS
    for name in (table, *columns):
        if not NAME.fullmatch(name):
            raise UserError(f"{name[:60]!r} cannot be a name, which is {RULE}; rename it")
        if name in unfit:
            raise UserError(f"{name!r} means something in SQL; choose another name")
    doubled = [name for name, count in Counter(columns).items() if count > 1]
    if doubled:
        raise UserError(f"the file has {', '.join(doubled)} more than once; rename it in the file")
    for name in columns:
        if name in LINEAGE:
            raise UserError(f"{name!r} is a column that the loader adds; rename it in the file")
    if key not in columns:
        raise UserError(f"the key {key!r} is none of the file's columns: {', '.join(columns)}")
    if len(columns) == 1:
        raise UserError(f"the file has no column but {key!r}; a source needs one to tell")
    if table in re.findall(r"forex\.(\w+)", LANDING.read_text()) or list(
        CHECKOUT.glob(f"models/**/{table}.sql")
    ):
        raise UserError(f"there is a {table!r} already; choose another name")
    return Layout(table, key, tuple(columns))


def files(layout: Layout) -> dict[str, str]:
    """Return what to write: path in the checkout, and text."""
    listed = "".join(f'    "{column}",\n' for column in layout.columns)
    described = {name: f"The file's `{name}`, as is." for name in layout.columns}
    properties = [
        COLUMN.format(name=name, description=text) + (KEY_TESTS if name == layout.key else "")
        for name, text in (described | LINEAGE_DESCRIPTIONS).items()
    ]
    names = {"table": layout.table, "key": layout.key}
    return {
        f"orchestration/warehouse/layouts/{layout.table}.toml": (
            f'key = "{layout.key}"\ncolumns = [\n{listed}]\n'
        ),
        f"models/bronze/_{layout.table}__sources.yml": SOURCE.format(**names),
        f"models/bronze/{layout.table}.sql": VIEW.format(
            columns=",\n    ".join((*layout.columns, *LINEAGE)), **names
        ),
        f"models/bronze/{layout.table}.yml": PROPERTIES.format(
            columns="\n".join(properties).rstrip("\n"), **names
        ),
    }


@one_line
def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.new_source", description=__doc__)
    parser.add_argument("name", help="of the landing table and its bronze view")
    parser.add_argument("--sample", type=Path, required=True, help="a CSV file, for its header")
    parser.add_argument("--key", required=True, help="the column that tells rows apart")
    arguments = parser.parse_args()
    written = files(checked(arguments.name, header(arguments.sample), arguments.key))
    for name in written:
        if (CHECKOUT / name).exists():
            raise UserError(f"{name} exists already; nothing was written")
    for name, text in written.items():
        (CHECKOUT / name).write_text(text)
        print(f"wrote {name}")
    print("make server makes the landing table; docs/new-source.md tells the rest")
    return 0


if __name__ == "__main__":
    sys.exit(main())
