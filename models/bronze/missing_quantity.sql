{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='transaction_id',
        indexes=[{'columns': ['transaction_id'], 'unique': true}],
        pre_hook="{{ follow_lake() }}",
        post_hook="{{ guarantee_not_null() }}",
    )
}}

with

changed as (
    select *
    from {{ ref('customer_transactions') }}
    {% if is_incremental() %}
        where load_xid >= {{ lake_horizon() }}
    {% endif %}
),

missing as (
    select
        transaction_id,
        customer_id,
        transaction_date,
        product_id,
        product_name,
        price,
        tax,
        customer_first_name,
        customer_last_name,
        customer_email,
        customer_phone,
        customer_country,
        customer_city,
        source_file,
        source_line,
        load_timestamp
    from changed
    -- In this form postgres_fdw lets the lake do the filtering.
    where {{ is_blank('quantity') }}
),

final as (
    {% if is_incremental() %}
        -- A changed row with a quantity has no other half here: its key leaves the table.
        select *
        from (select changed.transaction_id from changed) as touched
        left join missing using (transaction_id)
    {% else %}
        select * from missing
    {% endif %}
)

select * from final
