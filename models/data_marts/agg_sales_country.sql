with

sale as (
    select * from {{ ref('transaction_fct') }}
),

location as (
    select * from {{ ref('location_dim') }}
),

final as (
    select
        location.country,
        count(*) as transactions,
        count(*) - count(sale.quantity) as transactions_without_quantity,
        coalesce(sum(sale.quantity), 0) as quantity,
        coalesce(sum(sale.quantity * sale.price), 0) as revenue
    from sale
    inner join location using (location_id)
    group by location.country
)

select * from final
