"""The figures that a correct run over the reference file gives."""

from decimal import Decimal

import psycopg
import pytest

from orchestration.tests.support import Dbt, load
from orchestration.warehouse.settings import CHECKOUT

REFERENCE = CHECKOUT.parent / "shared/data/customer_transactions.csv"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference file is not beside this checkout")
def test_the_reference_file(server, lake, tmp_path):
    load(REFERENCE)
    Dbt("pro", tmp_path)("build", "--full-refresh")
    with psycopg.connect(server("pro", "analyst")) as pro:

        def one(query):
            return pro.execute(query).fetchone()[0]

        counts = {
            relation: one(f"select count(*) from {relation}")
            for relation in (
                "silver.transaction",
                "gold.customer_dim",
                "gold.location_dim",
                "gold.product_dim",
                "bronze.missing_quantity",
                "silver.rejected_transaction",
                "silver.superseded_transaction",
            )
        }
        assert list(counts.values()) == [100, 100, 90, 5, 16, 0, 0]
        for mart in ("agg_sales_country", "agg_sales_customer", "agg_sales_monthly"):
            assert one(f"select sum(revenue) from data_marts.{mart}") == Decimal("46411.29")
        months = pro.execute(
            "select year, quarter, month from data_marts.agg_sales_monthly"
        ).fetchall()
        assert months == [(2023, 3, 7)]
