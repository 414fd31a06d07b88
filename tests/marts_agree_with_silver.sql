-- Each mart adds up to the sales and the revenue of silver, and has no row twice: one look at
-- each proves what tests of its columns would read it again for.

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
        sum(transactions) as transactions,
        sum(revenue) as revenue,
        count(*) - count(distinct country) as doubled
    from {{ ref('agg_sales_country') }}
    union all
    select
        'agg_sales_customer' as mart,
        sum(transactions) as transactions,
        sum(revenue) as revenue,
        count(*) - count(distinct customer_id) as doubled
    from {{ ref('agg_sales_customer') }}
    union all
    select
        'agg_sales_monthly' as mart,
        sum(transactions) as transactions,
        sum(revenue) as revenue,
        count(*) - count(distinct year * 100 + month) as doubled
    from {{ ref('agg_sales_monthly') }}
)

select
    mart.*,
    total.transactions as transactions_of_silver,
    total.revenue as revenue_of_silver
from mart
cross join total
where
    coalesce(mart.transactions, 0) <> total.transactions
    or coalesce(mart.revenue, 0) <> total.revenue
    or mart.doubled > 0
