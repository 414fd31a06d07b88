"""The layout of the files, and statements about their landing table."""

from psycopg import sql

from orchestration.warehouse.layouts import Layout, layout

TRANSACTIONS = layout("customer_transactions")  # what a file holds unless another table is named
COLUMNS, KEY = TRANSACTIONS.columns, TRANSACTIONS.key


def names(*columns: str, table: str | None = None) -> sql.Composed:
    """Return columns as a SQL list, each with the table's name before it if one is given."""
    path = (table,) if table else ()
    return sql.SQL(", ").join(sql.Identifier(*path, column) for column in columns)


def statement(text: str, of: Layout) -> sql.Composed:
    """Put a landing table and its columns into a statement, in place of the names in braces."""
    return sql.SQL(text).format(
        landing_table=sql.Identifier("forex", of.table),
        key=sql.Identifier(of.key),
        columns=names(*of.columns),
        values=names(*of.values),
        lake_values=names(*of.values, table="lake"),
        file_columns=names(*of.columns, table="file"),
        file_values=names(*of.values, table="file"),
        new_values=names(*of.values, table="excluded"),
        staged_columns=sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(column)) for column in of.columns
        ),
    )
