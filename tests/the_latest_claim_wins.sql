-- No superseded row is later than the one that took its key.

with

superseded as (
    select * from {{ ref('superseded_transaction') }}
),

cleaned as (
    select * from {{ ref('cleaned_transaction') }}
)

select
    superseded.source_transaction_id,
    superseded.superseded_by
from superseded
inner join cleaned as winner on superseded.superseded_by = winner.source_transaction_id
where
    (superseded.load_timestamp, superseded.source_line, superseded.source_transaction_id)
    > (winner.load_timestamp, winner.source_line, winner.source_transaction_id)
