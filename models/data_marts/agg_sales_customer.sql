with

sale as (
    select
        customer_id,
        count(*) as transactions,
        count(*) - count(quantity) as transactions_without_quantity,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(quantity * price), 0) as revenue
    from {{ ref('transaction_fct') }}
    group by customer_id
),

customer as (
    select * from {{ ref('customer_dim') }}
),

final as (
    select
        customer_id,
        customer.first_name,
        customer.last_name,
        customer.email,
        customer.phone,
        sale.transactions,
        sale.transactions_without_quantity,
        sale.quantity,
        sale.revenue
    from sale
    inner join customer using (customer_id)
)

select * from final
