{{ config(materialized='view') }}

select
    source_transaction_id,
    reasons,
    source_file,
    source_line,
    load_timestamp
from {{ ref('cleaned_transaction') }}
-- A row has no keys if, and only if, it has reasons; and there is an index on the keys.
where transaction_id is null and reasons is not null
