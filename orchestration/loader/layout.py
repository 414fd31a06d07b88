"""The layout of the files, and so of the landing table."""

from psycopg import sql

COLUMNS = (
    "transaction_id",
    "customer_id",
    "transaction_date",
    "product_id",
    "product_name",
    "quantity",
    "price",
    "tax",
    "customer_first_name",
    "customer_last_name",
    "customer_email",
    "customer_phone",
    "customer_country",
    "customer_city",
)
KEY = "transaction_id"
VALUES = tuple(column for column in COLUMNS if column != KEY)


def names(*columns: str, table: str | None = None) -> sql.Composed:
    """Return columns as a SQL list, each with the table's name before it if one is given."""
    path = (table,) if table else ()
    return sql.SQL(", ").join(sql.Identifier(*path, column) for column in columns)
