{% macro generate_schema_name(custom_schema_name=none, node=none) -%}
    {#- A model's folder is its schema. In `pro` it has the name to itself; every other target
        prefixes it, so that analysts and pull requests build side by side. -#}
    {%- set folder = custom_schema_name | trim if custom_schema_name else 'public' -%}
    {%- if target.name == 'pro' -%}
        {{ folder }}
    {%- elif target.name == 'ci' -%}
        {{ target.schema }}_{{ folder }}
    {%- else -%}
        {{ target.user }}_{{ folder }}
    {%- endif -%}
{%- endmacro %}
