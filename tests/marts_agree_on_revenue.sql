-- Each mart adds up to the revenue of silver.

with

total as (
    select coalesce(sum(quantity * price), 0) as revenue
    from {{ ref('transaction') }}
),

mart as (
    select
        'agg_sales_country' as mart,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_country') }}
    union all
    select
        'agg_sales_customer' as mart,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_customer') }}
    union all
    select
        'agg_sales_monthly' as mart,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('agg_sales_monthly') }}
)

select
    mart.mart,
    mart.revenue,
    total.revenue as revenue_of_silver
from mart
cross join total
where mart.revenue <> total.revenue
