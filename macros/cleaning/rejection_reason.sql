{% macro rejection_reason(column, given=none, fault=none) -%}
    case when {{ column }} is null then
        {%- if given %} case
            when {{ given }} is null then '{{ column }}: empty'
            else '{{ column }}: {{ fault }}: "' || {{ given }} || '"'
        end
        {%- else %} '{{ column }}: empty'
        {%- endif %} end
{%- endmacro %}
