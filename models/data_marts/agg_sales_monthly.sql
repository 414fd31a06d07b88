with

sale as (
    select * from {{ ref('transaction_fct') }}
),

calendar as (
    select * from {{ ref('date_dim') }}
),

final as (
    select
        calendar.year,
        calendar.quarter,
        calendar.month,
        count(*) as transactions,
        count(*) - count(sale.quantity) as transactions_without_quantity,
        coalesce(sum(sale.quantity), 0) as quantity,
        coalesce(sum(sale.quantity * sale.price), 0) as revenue
    from sale
    inner join calendar on sale.transaction_date = calendar.date_day
    group by calendar.year, calendar.quarter, calendar.month
)

select * from final
