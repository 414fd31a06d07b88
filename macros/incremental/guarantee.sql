{% macro guarantee_not_null() -%}
    {#- Post-hook: columns that are tested for `guaranteed_not_null` get the constraint. That is so
        once, when the table is new; and then the planner, too, has to be told what is in it. -#}
    {%- set columns = [] -%}
    {%- for test in (graph.nodes.values() if execute else []) -%}
        {%- if test.resource_type == 'test' and test.attached_node == model.unique_id and test.test_metadata.name == 'guaranteed_not_null' -%}
            {%- do columns.append(test.test_metadata.kwargs.column_name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if columns -%}
    do $$
    begin
        if exists (
            select
            from pg_attribute
            where
                attrelid = '{{ this }}'::regclass
                and attname in ('{{ columns | join("', '") }}')
                and not attnotnull
        ) then
            alter table {{ this }}
            {%- for column in columns %}
                alter column {{ column }} set not null{{ ',' if not loop.last }}
            {%- endfor %};
            analyze {{ this }};
        end if;
    end
    $$
    {%- endif -%}
{%- endmacro %}
