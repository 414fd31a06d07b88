{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='customer_id',
        indexes=[
            {'columns': ['customer_id'], 'unique': true},
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
    {{ dimension_members(
        'customer_id',
        ['customer_first_name', 'customer_last_name', 'customer_email', 'customer_phone'],
    ) }}
),

final as (
    select
        customer_id,
        customer_first_name as first_name,
        customer_last_name as last_name,
        customer_email as email,
        customer_phone as phone,
        evidence_transaction_id,
        source_transaction_id,
        load_timestamp,
        {{ version_of('transaction') }} as changed_at
    from member
)

select * from final
