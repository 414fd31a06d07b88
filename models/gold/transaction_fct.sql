{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='transaction_id',
        indexes=[
            {'columns': ['transaction_id'], 'unique': true},
            {'columns': ['source_transaction_id']},
            {'columns': ['changed_at']},
        ],
        pre_hook="{{ follow('transaction') }}",
    )
}}

-- depends_on: {{ ref('cleaned_transaction') }}

with

{% if is_incremental() %}
    affected as (
        {{ affected_transactions() }}
    ),
{% endif %}

sale as (
    select
        sold.transaction_id,
        sold.customer_id,
        sold.product_id,
        sold.location_id,
        sold.transaction_date,
        sold.source_transaction_id,
        sold.quantity,
        sold.price,
        sold.tax,
        sold.load_timestamp
    from {{ matching(ref('transaction'), 'affected', 'transaction_id') }} as sold
),

final as (
    select
        *,
        {{ version_of('transaction') }} as changed_at
    {% if is_incremental() %}
        -- A key that silver no longer has finds no sale: its row leaves the table.
        from affected
        left join sale using (transaction_id)
    {% else %}
        from sale
    {% endif %}
)

select * from final
