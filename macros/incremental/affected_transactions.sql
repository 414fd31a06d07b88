{% macro affected_transactions(transaction_column='transaction_id') -%}
    {#- Keys of `transaction` that may have come, changed or gone since {{ this }} was last built.
        A key that is gone leaves no trace in `transaction`; but it went because its lake row
        changed, and {{ this }} still knows which lake row that was. -#}
    select transaction_id
    from {{ ref('transaction') }}
    where changed_at > {{ built_through() }}
    union
    select held.{{ transaction_column }}
    from {{ this }} as held
    inner join (
        select source_transaction_id
        from {{ ref('cleaned_transaction') }}
        where changed_at > {{ built_through() }}
    ) as cleaned using (source_transaction_id)
{%- endmacro %}
