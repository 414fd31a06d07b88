-- Each mart adds up to the sales and the revenue of silver: a sale that is lost, or there twice
-- because a member of a dimension is, makes a difference. One look at each mart proves what tests
-- of its columns would read it again for. What the marts read is proven row by row; so once they
-- have added up, a build looks again only when their SQL changes.

-- depends_on: {{ ref('transaction_fct') }}

with

total as (
    select
        count(*) as transactions,
        coalesce(sum(quantity * price), 0) as revenue
    from {{ ref('transaction') }}
),

mart as (
    select
        'agg_sales_country' as mart,
        coalesce(sum(transactions), 0) as transactions,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_country') }}
    union all
    select
        'agg_sales_customer' as mart,
        coalesce(sum(transactions), 0) as transactions,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_customer') }}
    union all
    select
        'agg_sales_monthly' as mart,
        coalesce(sum(transactions), 0) as transactions,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_monthly') }}
)

select
    mart.*,
    total.transactions as transactions_of_silver,
    total.revenue as revenue_of_silver
from mart
cross join total
where
    {{ proven_through() }} = '-infinity'
    and (mart.transactions, mart.revenue) <> (total.transactions, total.revenue)
