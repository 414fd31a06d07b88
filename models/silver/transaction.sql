{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='transaction_id',
        indexes=[
            {'columns': ['transaction_id'], 'unique': true},
            {'columns': ['source_transaction_id']},
            {'columns': ['changed_at']},
            {'columns': ['customer_id']},
            {'columns': ['product_id']},
            {'columns': ['location_id']},
            {'columns': ['transaction_date']},
            {'columns': ['unreadable_quantity'], 'where': 'unreadable_quantity is not null'},
        ],
        pre_hook="{{ follow('cleaned_transaction') }}",
        post_hook="{{ guarantee_not_null() }}",
    )
}}

with

-- Read more than once, and never to be copied whole.
cleaned as not materialized (
    select * from {{ ref('cleaned_transaction') }}
),

{% if is_incremental() %}
    changed as (
        select
            source_transaction_id,
            transaction_id
        from cleaned
        where changed_at > {{ built_through() }}
    ),

    -- Keys that a changed row has now, and keys that it held here before.
    affected as (
        select transaction_id
        from changed
        where transaction_id is not null
        union
        select held.transaction_id
        from {{ this }} as held
        inner join changed using (source_transaction_id)
    ),
{% endif %}

contender as (
    select cleaned.*
    from cleaned
    {% if is_incremental() %}
        inner join affected using (transaction_id)
    {% else %}
        where transaction_id is not null
    {% endif %}
),

-- Later load, then later line; the id makes the order total.
winner as (
    select distinct on (transaction_id)
        transaction_id,
        customer_id,
        product_id,
        location_id,
        source_transaction_id,
        source_customer_id,
        source_product_id,
        transaction_date,
        product_name,
        quantity,
        unreadable_quantity,
        price,
        tax,
        customer_first_name,
        customer_last_name,
        customer_email,
        customer_phone,
        customer_country,
        customer_city,
        load_timestamp
    from contender
    order by
        transaction_id asc, load_timestamp desc, source_line desc, source_transaction_id desc
),

final as (
    select
        *,
        {{ version_of('cleaned_transaction') }} as changed_at
    {% if is_incremental() %}
        -- A key that no row claims any more finds no winner: its row leaves the table.
        from affected
        left join winner using (transaction_id)
    {% else %}
        from winner
    {% endif %}
)

select * from final
