{% macro white_space() -%}
    E' \t\n\r\f\v\u00a0'
{%- endmacro %}

{% macro clean_text(expression) -%}
    nullif(btrim({{ expression }}, {{ white_space() }}), '')
{%- endmacro %}

{% macro is_blank(expression) -%}
    ({{ expression }} is null or btrim({{ expression }}, {{ white_space() }}) = '')
{%- endmacro %}
