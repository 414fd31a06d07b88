{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='date_day',
        indexes=[
            {'columns': ['date_day'], 'unique': true},
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
    {{ dimension_members('transaction_date', [], held_key='date_day') }}
),

final as (
    select
        transaction_date as date_day,
        extract(year from transaction_date)::integer as year,
        extract(quarter from transaction_date)::integer as quarter,
        extract(month from transaction_date)::integer as month,
        extract(day from transaction_date)::integer as day_of_month,
        extract(isodow from transaction_date)::integer as iso_day_of_week,
        extract(isoyear from transaction_date)::integer as iso_year,
        extract(week from transaction_date)::integer as iso_week,
        extract(isodow from transaction_date) >= 6 as is_weekend,
        evidence_transaction_id,
        source_transaction_id,
        load_timestamp,
        {{ version_of('transaction') }} as changed_at
    from member
)

select * from final
