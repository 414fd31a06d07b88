{% macro postgres__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {#- How this project merges, in place of dbt's default:
        - a row that is already as it should be is not written again (`changed_at` aside, which
          says when a row was last written);
        - a source row without a `load_timestamp` is a tombstone: its key leaves the table. -#}
    {%- set names = dest_columns | map(attribute='name') | list -%}
    {%- if spread() -%}
        {{ return(citus_merge(target, source, unique_key, names)) }}
    {%- endif -%}
    {%- set updated = names | reject('equalto', unique_key) | list -%}
    {%- set compared = updated | reject('equalto', 'changed_at') | list -%}
    {{ note_rows_that_leave(target, source, unique_key) }};
    merge into {{ target }} as old
    using {{ source }} as new
    on old.{{ unique_key }} = new.{{ unique_key }}
    {%- for predicate in incremental_predicates or [] %}
        and {{ predicate }}
    {%- endfor %}
    when matched and new.load_timestamp is null then
        delete
    when matched and (
        {% for name in compared %}old.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
    ) is distinct from (
        {% for name in compared %}new.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
    ) then
        update set {% for name in updated %}{{ name }} = new.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
    when not matched and new.load_timestamp is not null then
        insert ({{ names | join(', ') }})
        values ({% for name in names %}new.{{ name }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
