{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='source_transaction_id',
        indexes=[
            {'columns': ['source_transaction_id'], 'unique': true},
            {'columns': ['transaction_id']},
            {'columns': ['changed_at']},
            {'columns': ['source_transaction_id'], 'where': 'reasons is not null'},
        ],
        pre_hook="{{ follow_lake() }}",
        post_hook="{{ guarantee_not_null() }}",
    )
}}

with

landed as (
    select *
    from {{ ref('customer_transactions') }}
    {% if is_incremental() %}
        where load_xid >= {{ lake_horizon() }}
    {% endif %}
),

typed as (
    select
        transaction_id as source_transaction_id,
        {{ clean_text('customer_id') }} as source_customer_id,
        {{ clean_text('product_id') }} as source_product_id,
        {{ parse_date(clean_text('transaction_date')) }} as transaction_date,
        {{ clean_text('product_name') }} as product_name,
        {{ clean_text('quantity') }} as given_quantity,
        {{ word_to_number(clean_text('quantity')) }} as quantity,
        {{ word_to_number(clean_text('price')) }} as price,
        {{ word_to_number(clean_text('tax')) }} as tax,
        {{ clean_text('customer_first_name') }} as customer_first_name,
        {{ clean_text('customer_last_name') }} as customer_last_name,
        {{ clean_text('customer_email') }} as customer_email,
        {{ clean_text('customer_phone') }} as customer_phone,
        {{ clean_text('customer_country') }} as customer_country,
        {{ clean_text('customer_city') }} as customer_city,
        {{ clean_text('transaction_date') }} as given_date,
        {{ clean_text('price') }} as given_price,
        {{ clean_text('tax') }} as given_tax,
        source_file,
        source_line,
        load_timestamp
    from landed
    -- Keeps the planner from computing each value again wherever it is used below. Sorts nothing;
    -- unlike the usual `offset 0` it lets a cluster run all of this on the shards.
    order by null::text
),

judged as (
    select
        *,
        quantity = trunc(quantity) and abs(quantity) <= 2147483647 as is_whole_quantity,
        nullif(concat_ws(
            '; ',
            {{ rejection_reason('transaction_date', given='given_date', fault='not a date') }},
            {{ rejection_reason('price', given='given_price', fault='not a number') }},
            {{ rejection_reason('tax', given='given_tax', fault='not a number') }},
            {{ rejection_reason('product_name') }},
            {{ rejection_reason('customer_first_name') }},
            {{ rejection_reason('customer_last_name') }},
            {{ rejection_reason('customer_email') }},
            {{ rejection_reason('customer_phone') }},
            {{ rejection_reason('customer_country') }},
            {{ rejection_reason('customer_city') }}
        ), '') as reasons
    from typed
    order by null::text
),

final as (
    select
        source_transaction_id,
        source_customer_id,
        source_product_id,
        case when reasons is null then {{ transaction_key() }} end as transaction_id,
        case when reasons is null then {{ customer_key() }} end as customer_id,
        case when reasons is null then {{ product_key() }} end as product_id,
        case when reasons is null then {{ location_key() }} end as location_id,
        transaction_date,
        product_name,
        case when is_whole_quantity then quantity::integer end as quantity,
        case when is_whole_quantity is not true then given_quantity end as unreadable_quantity,
        price,
        tax,
        customer_first_name,
        customer_last_name,
        customer_email,
        customer_phone,
        customer_country,
        customer_city,
        reasons,
        source_file,
        source_line,
        load_timestamp,
        {{ this_version() }} as changed_at
    from judged
)

select * from final
