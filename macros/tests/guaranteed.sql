{% test guaranteed_unique(model, column_name) %}
    {#- PostgreSQL checks every row as it is written, if only the index is there: to look that up
        proves as much as to scan the table. Through the window on pro there is no index to see, and
        on a cluster none that spans the shards: there, the rows are. -#}
    {%- if '"pro_' in model | string or env_var('WAREHOUSE_WORKERS', '') %}
    {{ dbt.default__test_unique(model, column_name) }}
    {%- else %}
    select 'no unique index on {{ column_name }} alone' as fault
    where not exists (
        select
        from pg_index
        inner join pg_attribute
            on
                pg_attribute.attrelid = pg_index.indrelid
                and pg_attribute.attnum = pg_index.indkey[0]
        where
            pg_index.indrelid = '{{ model }}'::regclass
            and pg_index.indisunique
            and pg_index.indisvalid
            and pg_index.indnkeyatts = 1
            and pg_index.indpred is null
            and pg_attribute.attname = '{{ column_name }}'
    )
    {%- endif %}
{% endtest %}

{% test guaranteed_not_null(model, column_name) %}
    {#- As guaranteed_unique: the constraint has every row checked as it is written. -#}
    {%- if '"pro_' in model | string %}
    {{ dbt.default__test_not_null(model, column_name) }}
    {%- else %}
    select '{{ column_name }} may be null' as fault
    where not exists (
        select
        from pg_attribute
        where
            attrelid = '{{ model }}'::regclass
            and attname = '{{ column_name }}'
            and attnotnull
    )
    {%- endif %}
{% endtest %}
