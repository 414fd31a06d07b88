-- Exactly the landing rows without a quantity, as far as they have not changed since the build.

{% set proven = proven_horizon() %}
{% set horizon = lake_horizon_of('missing_quantity') %}

with

settled as (
    select transaction_id
    from {{ source('forex', 'customer_transactions') }}
    where
        load_xid >= {{ proven }}
        and load_xid < {{ horizon }}
        and {{ is_blank('quantity') }}
),

recent as (
    select transaction_id
    from {{ source('forex', 'customer_transactions') }}
    where load_xid >= {{ horizon }}
),

listed as (
    select missing_quantity.transaction_id
    from {{ ref('missing_quantity') }} as missing_quantity
    left join recent using (transaction_id)
    {% if proven != "'0'::bigint" %}
        inner join (
            select transaction_id
            from {{ source('forex', 'customer_transactions') }}
            where load_xid >= {{ proven }}
        ) as changed using (transaction_id)
    {% endif %}
    where recent.transaction_id is null
)

select transaction_id
from settled
full join listed using (transaction_id)
where settled.transaction_id is null or listed.transaction_id is null
