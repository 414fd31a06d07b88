{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='location_id',
        indexes=[
            {'columns': ['location_id'], 'unique': true},
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
    {{ dimension_members('location_id', ['customer_city', 'customer_country']) }}
),

final as (
    select
        location_id,
        customer_city as city,
        customer_country as country,
        evidence_transaction_id,
        source_transaction_id,
        load_timestamp,
        {{ version_of('transaction') }} as changed_at
    from member
)

select * from final
