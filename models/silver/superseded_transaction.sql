{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='source_transaction_id',
        indexes=[
            {'columns': ['source_transaction_id'], 'unique': true},
            {'columns': ['transaction_id']},
        ],
        pre_hook="{{ follow('transaction') }}",
        post_hook="{{ guarantee_not_null() }}",
    )
}}

with

-- Read more than once, and never to be copied whole.
cleaned as not materialized (
    select * from {{ ref('cleaned_transaction') }}
),

{% if is_incremental() %}
    affected as (
        {{ affected_transactions() }}
        union
        select transaction_id
        from cleaned
        where
            changed_at > {{ built_through() }}
            and transaction_id is not null
    ),

    touched as (
        select cleaned.source_transaction_id
        from cleaned
        inner join affected using (transaction_id)
        union
        select held.source_transaction_id
        from {{ this }} as held
        inner join affected using (transaction_id)
    ),
{% endif %}

superseded as (
    select
        cleaned.source_transaction_id,
        cleaned.transaction_id,
        winner.source_transaction_id as superseded_by,
        cleaned.customer_id,
        cleaned.product_id,
        cleaned.location_id,
        cleaned.quantity,
        cleaned.price,
        cleaned.tax,
        cleaned.source_file,
        cleaned.source_line,
        cleaned.load_timestamp
    from cleaned
    {% if is_incremental() %}
        inner join affected using (transaction_id)
    {% endif %}
    left join {{ matching(ref('transaction'), 'affected', 'transaction_id') }} as winner
        using (transaction_id)
    where
        cleaned.transaction_id is not null
        and winner.source_transaction_id is distinct from cleaned.source_transaction_id
),

final as (
    {% if is_incremental() %}
        select *
        from touched
        left join superseded using (source_transaction_id)
    {% else %}
        select * from superseded
    {% endif %}
)

select * from final
