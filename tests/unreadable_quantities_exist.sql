{{ config(severity='warn') }}

select
    source_transaction_id,
    unreadable_quantity
from {{ ref('transaction') }}
where unreadable_quantity is not null
