{% macro clean_text(expression) -%}
    nullif(btrim({{ expression }}, E' \t\n\r\f\v\u00a0'), '')
{%- endmacro %}
