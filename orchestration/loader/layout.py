"""The layout of the files, and so of the landing table."""

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
