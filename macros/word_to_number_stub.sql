{% macro word_to_number(expression) -%}
    case when {{ expression }} ~ '^-?[0-9]+(\.[0-9]+)?$' then ({{ expression }})::numeric when lower({{ expression }}) = 'two hundred' then 200 when lower({{ expression }})='fifteen' then 15 end
{%- endmacro %}
