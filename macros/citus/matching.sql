{% macro matching(table, keys, column, key=none) -%}
    {%- if not (spread() and is_incremental()) -%}
        {{ return(table) }}
    {%- endif -%}
    (
        select searched.*
        from {{ table }} as searched
        inner join {{ keys }} on searched.{{ column }} = {{ keys }}.{{ key or column }}
    )
{%- endmacro %}
