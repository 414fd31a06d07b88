{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='product_id',
        indexes=[
            {'columns': ['product_id'], 'unique': true},
            {'columns': ['evidence_transaction_id']},
            {'columns': ['source_transaction_id']},
            {'columns': ['changed_at']},
        ],
        pre_hook="{{ follow('transaction') }}",
    )
}}

-- depends_on: {{ ref('cleaned_transaction') }}

with

member as (
    {{ dimension_members('product_id', ['product_name']) }}
),

final as (
    select
        product_id,
        product_name,
        evidence_transaction_id,
        source_transaction_id,
        load_timestamp,
        {{ version_of('transaction') }} as changed_at
    from member
)

select * from final
