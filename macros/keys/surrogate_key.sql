{% macro surrogate_key(columns, verbatim=[]) -%}
    {#- dbt_utils joins the values with hyphens, so that ('a-b', 'c') and ('a', 'b-c') would be one
        key. Hyphens inside values are escaped; a value without one gives dbt_utils' plain key. -#}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- if column in verbatim -%}
            {%- do parts.append(column) -%}
        {%- else -%}
            {%- do parts.append("replace(replace(" ~ column ~ ", '\\', '\\\\'), '-', '\\-')") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ dbt_utils.generate_surrogate_key(parts) }}
{%- endmacro %}
