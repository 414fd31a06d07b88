{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {#- dbt's own, but that an index may have a `where`. -#}
    {%- if spread() -%}
        {%- set index_dict = spread_index(index_dict) -%}
    {%- endif -%}
    {%- set condition = index_dict.get('where') -%}
    {%- set index_dict = dict(index_dict.items() | rejectattr(0, 'equalto', 'where')) -%}
    {%- set statement = dbt.postgres__get_create_index_sql(relation, index_dict) -%}
    {{ return(statement ~ ' where ' ~ condition if condition else statement) }}
{%- endmacro %}
