{% macro generate_surrogate_key(field_list) -%}
    {#- Null stands for itself, apart from the empty string, so that both make different keys. -#}
    {%- set texts = [] -%}
    {%- for field in field_list -%}
        {%- do texts.append("coalesce(cast(" ~ field ~ " as text), '_dbt_utils_surrogate_key_null_')") -%}
    {%- endfor -%}
    md5({{ texts | join(" || '-' || ") }})
{%- endmacro %}
