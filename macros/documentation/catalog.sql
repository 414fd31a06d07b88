{% macro postgres__get_catalog_relations(information_schema, relations) -%}
    {#- dbt's own catalog says nothing of sizes on PostgreSQL. Views and foreign tables have none. -#}
    {%- set sizes = run_query(table_sizes()) -%}
    {%- set catalog = dbt.postgres__get_catalog_relations(information_schema, relations) -%}
    {{ return(catalog.join(sizes, ['table_schema', 'table_name'])) }}
{%- endmacro %}

{% macro table_sizes() %}
    select
        namespaces.nspname as table_schema,
        relations.relname as table_name,
        'Rows' as "stats:row_count:label",
        relations.reltuples::bigint as "stats:row_count:value",
        'Number of rows when the table was last analyzed' as "stats:row_count:description",
        relations.relkind in ('r', 'm') and relations.reltuples >= 0 as "stats:row_count:include",
        'Size' as "stats:bytes:label",
        pg_total_relation_size(relations.oid) as "stats:bytes:value",
        'Room on disk, indexes included' as "stats:bytes:description",
        relations.relkind in ('r', 'm') as "stats:bytes:include"
    from pg_class as relations
    inner join pg_namespace as namespaces on relations.relnamespace = namespaces.oid
    where
        relations.relkind in ('r', 'v', 'f', 'p', 'm')
        and relations.relpersistence in ('p', 'u')
        and namespaces.nspname not in ('pg_catalog', 'information_schema')
{% endmacro %}
