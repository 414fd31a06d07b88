{{ config(severity='warn') }}

select
    source_transaction_id,
    superseded_by
from {{ ref('superseded_transaction') }}
