{% macro dimension_members(key, attributes, held_key=none) -%}
    {#- The members of a dimension: each value of `key` that some transaction has, with attributes
        that the key determines, and one transaction as evidence that the member exists: the one
        with the smallest key. Only when that one changes need the others be looked at, so that a
        build touches the members of changed rows and no others. -#}
    {%- set columns = [key] + attributes + ['transaction_id', 'source_transaction_id', 'load_timestamp'] -%}
    {%- set held_key = held_key or key -%}
    with

    {% if is_incremental() %}
    affected as (
        {{ affected_transactions('evidence_transaction_id') }}
    ),

    gained as (
        select distinct on ({{ key }})
            {{ columns | join(',\n            ') }}
        from {{ ref('transaction') }}
        inner join affected using (transaction_id)
        order by {{ key }}, transaction_id
    ),

    -- Members whose evidence may be gone: any other of their transactions will do.
    orphaned as (
        select held.{{ held_key }} as {{ key }}
        from {{ this }} as held
        inner join affected on held.evidence_transaction_id = affected.transaction_id
    ),

    adopted as (
        select distinct on ({{ key }})
            {{ columns | join(',\n            ') }}
        from {{ ref('transaction') }}
        inner join orphaned using ({{ key }})
        order by {{ key }}, transaction_id
    ),

    member as (
        -- An orphan that no transaction adopts is a tombstone: nothing but its key.
        select {{ columns | join(', ') }}
        from orphaned
        left join adopted using ({{ key }})
        union all
        select gained.{{ columns | join(', gained.') }}
        from gained
        left join orphaned on gained.{{ key }} = orphaned.{{ key }}
        left join {{ matching(this, 'gained', held_key, key) }} as held
            on gained.{{ key }} = held.{{ held_key }}
        where
            orphaned.{{ key }} is null
            and (held.{{ held_key }} is null or gained.transaction_id < held.evidence_transaction_id)
    )
    {% else %}
    -- Grouped, not sorted: there are many transactions and few members.
    evidence as (
        select min(transaction_id) as transaction_id
        from {{ ref('transaction') }}
        group by {{ key }}
    ),

    member as (
        select
            {{ columns | join(',\n            ') }}
        from {{ ref('transaction') }}
        inner join evidence using (transaction_id)
    )
    {% endif %}

    select
        {{ ([key] + attributes) | join(',\n        ') }},
        transaction_id as evidence_transaction_id,
        source_transaction_id,
        load_timestamp
    from member
{%- endmacro %}
