{#- PostgreSQL cannot query across databases. So `dev` has a window on `pro`: pro's gold.product_dim is
    the foreign table pro_gold.product_dim. These macros lead dbt's --defer through it.
    See docs/decisions/0009-a-window-on-pro.md -#}

{% macro ref() -%}
    {#- What --defer finds in another database is read through the window. Ephemeral parents and the
        fixtures of unit tests have no database. -#}
    {{ return(through_the_window(builtins.ref(*varargs, **kwargs))) }}
{%- endmacro %}

{% macro through_the_window(relation) -%}
    {%- if relation.database and relation.database != target.database -%}
        {{ return(relation.replace_path(
            database=target.database, schema=relation.database ~ '_' ~ relation.schema
        )) }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

{% macro is_deferred(model_name) -%}
    {#- Deferral is the one way in which a ref of this project leads to another schema than its own. -#}
    {{ return(ref(model_name).schema.startswith('pro_')) }}
{%- endmacro %}

{% macro refresh_window() -%}
    {%- if invocation_args_dict.defer and target.name != 'pro' -%}
        {%- do run_query('call deferral.refresh()') -%}
        {%- do run_query('commit') -%}
    {%- endif -%}
{%- endmacro %}

{% macro postgres__get_columns_in_relation(relation) -%}
    {#- Unit tests ask for the columns of a parent without ref. -#}
    {{ return(dbt.postgres__get_columns_in_relation(through_the_window(relation))) }}
{%- endmacro %}
