{{ config(severity='warn') }}

select
    source_transaction_id,
    reasons
from {{ ref('rejected_transaction') }}
