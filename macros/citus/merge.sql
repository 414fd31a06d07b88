{% macro citus_merge(target, source, unique_key, names) -%}
    {#- What postgres__get_merge_sql says, in the statements that Citus runs on the shards. The rows
        of the build are spread by the key, or lie on every node; see postgres__create_table_as. -#}
    {%- set citus = spread() -%}
    {%- set updated = names | reject('equalto', unique_key) | list -%}
    {%- set compared = updated | reject('equalto', 'changed_at') | list -%}
    {{ note_rows_that_leave(target, source, unique_key) }};
    with gone as materialized (
        select {{ unique_key }} from {{ source }} where load_timestamp is null
    )
    delete from {{ target }} as old
    using gone
    where old.{{ unique_key }} = gone.{{ unique_key }};
    {% if citus.reference -%}
        insert into {{ target }} as old ({{ names | join(', ') }})
        select {{ names | join(', ') }}
        from {{ source }}
        where load_timestamp is not null
        on conflict ({{ unique_key }}) do update
        set {% for name in updated %}{{ name }} = excluded.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        where (
            {% for name in compared %}old.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        ) is distinct from (
            {% for name in compared %}excluded.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        )
    {%- else -%}
        merge into {{ target }} as old
        using (select * from {{ source }} where load_timestamp is not null) as new
        on old.{{ unique_key }} = new.{{ unique_key }}
        {%- if citus.distribute_by != unique_key %} and old.{{ citus.distribute_by }} = new.{{ citus.distribute_by }}{% endif %}
        when matched and (
            {% for name in compared %}old.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        ) is distinct from (
            {% for name in compared %}new.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        ) then
            update set {% for name in updated if name != citus.distribute_by %}{{ name }} = new.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
        when not matched then
            insert ({{ names | join(', ') }})
            values ({% for name in names %}new.{{ name }}{{ ', ' if not loop.last }}{% endfor %})
    {%- endif %}
{%- endmacro %}

{% macro forget_rows_of_a_build() -%}
    {#- Post-hook of every model. Not the last statement of the merge, as that one tells dbt how many
        rows were written. -#}
    {%- if spread() -%}
        drop table if exists {{ make_temp_relation(this) }}
    {%- endif -%}
{%- endmacro %}
