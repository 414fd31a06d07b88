-- Each sale of silver is among the facts as it is; that there are no other facts, the numbers of
-- rows say.

select
    transaction_id,
    sold.source_transaction_id
from {{ ref('transaction') }} as sold
-- By both, as a cluster spreads them by customer.
left join {{ ref('transaction_fct') }} as fact using (transaction_id, customer_id)
where
    sold.changed_at > {{ proven_through() }}
    and (
        sold.product_id,
        sold.location_id,
        sold.transaction_date,
        sold.source_transaction_id,
        sold.quantity,
        sold.price,
        sold.tax,
        sold.load_timestamp
    ) is distinct from (
        fact.product_id,
        fact.location_id,
        fact.transaction_date,
        fact.source_transaction_id,
        fact.quantity,
        fact.price,
        fact.tax,
        fact.load_timestamp
    )
