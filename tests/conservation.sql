-- Every landing row is in silver, among the rejected or among the superseded. Exact also while a
-- load is running: rows that may have changed since silver read the lake are left out on both
-- sides.

with

recent as (
    select transaction_id as source_transaction_id
    from {{ source('forex', 'customer_transactions') }}
    where load_xid >= {{ lake_horizon_of('cleaned_transaction') }}
),

counted as (
    select
        -- All but the recent ones: so the lake counts by its key, without reading its rows.
        (select count(*) from {{ source('forex', 'customer_transactions') }})
        - (select count(*) from recent) as settled_in_the_lake,
        (
            select count(*)
            from {{ ref('cleaned_transaction') }}
            inner join recent using (source_transaction_id)
        ) as recent_here,
        (select count(*) from {{ ref('transaction') }}) as in_silver,
        (select count(*) from {{ ref('rejected_transaction') }}) as rejected,
        (select count(*) from {{ ref('superseded_transaction') }}) as superseded
)

select *
from counted
where settled_in_the_lake <> in_silver + rejected + superseded - recent_here
