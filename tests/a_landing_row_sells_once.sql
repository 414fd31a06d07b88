-- No landing row is behind two sales. (An index could not promise that: while a merge passes rows
-- from key to key, a row may be at both for a moment.)

with

-- Materialized: a cluster joins it to every shard then.
tested as materialized (
    select
        transaction_id,
        source_transaction_id
    from {{ ref('transaction') }}
    where changed_at > {{ proven_through() }}
)

select source_transaction_id
from tested
inner join {{ ref('transaction') }} as sold using (source_transaction_id)
where tested.transaction_id <> sold.transaction_id
