{{ config(materialized='view') }}

select
    source_transaction_id,
    reasons,
    source_file,
    source_line,
    load_timestamp
from {{ ref('cleaned_transaction') }}
where reasons is not null
