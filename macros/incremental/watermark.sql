{#- How far each incremental model of a target has come. One row a model, written by the model's
    pre-hook: in the transaction that builds it, so that the two can never disagree, and before it
    reads, so that it never claims more than was read. The row's lock also makes two builds of one
    model take turns. See docs/decisions/0003-watermarks-are-transaction-ids.md -#}

{% macro watermark_table() -%}
    {{ generate_schema_name('audit') | trim }}.watermark
{%- endmacro %}

{% macro _watermark_of(model_name, column, unknown, table=none) -%}
    {#- Only a run has marks to look up; to parse, lint or document a model needs no server. -#}
    {%- if not (execute and writes_to_the_target()) -%}
        {{ return(unknown) }}
    {%- endif -%}
    {%- set rows = run_query(
        "select " ~ column ~ "::text from " ~ (table or watermark_table()) ~ " where model = '" ~ model_name ~ "'"
    ).rows -%}
    {{ return("'" ~ rows[0][0] ~ "'" if rows and rows[0][0] is not none else unknown) }}
{%- endmacro %}

{% macro built_through() -%}
    {{ return(_watermark_of(this.name, 'version', "'-infinity'") ~ '::timestamptz') }}
{%- endmacro %}

{% macro version_of(model_name) -%}
    {#- Of a model that is deferred, or built from one, there is no mark here. Then later than
        whatever this target holds, so that no model here overlooks the rows. -#}
    {%- if is_deferred(model_name) -%}
        {{ return(this_version()) }}
    {%- endif -%}
    {{ return(_watermark_of(model_name, 'version', "'" ~ run_started_at ~ "'") ~ '::timestamptz') }}
{%- endmacro %}

{% macro lake_horizon() -%}
    {{ return(_watermark_of(this.name, 'lake_horizon', "'0'") ~ '::bigint') }}
{%- endmacro %}

{% macro lake_horizon_of(model_name) -%}
    {%- set table = 'pro_audit.watermark' if is_deferred(model_name) -%}
    {{ return(_watermark_of(model_name, 'lake_horizon', "'0'", table) ~ '::bigint') }}
{%- endmacro %}

{% macro this_version() -%}
    '{{ run_started_at }}'::timestamptz
{%- endmacro %}

{% macro follow_lake() -%}
    {#- Versions only grow: what follows asks for "later than". Were another build ahead of this
        one, rows stamped with this version would never be seen, so this build stops instead. -#}
    {{ forget_proofs() }}
    do $$
    begin
        insert into {{ watermark_table() }} as mark (model, lake_horizon, version)
        select '{{ this.name }}', low_water_mark, {{ this_version() }}
        from {{ source('forex', 'read_horizon') }}
        on conflict (model) do update
        set lake_horizon = excluded.lake_horizon, version = excluded.version
        where mark.version < excluded.version or {{ should_full_refresh() }};
        if not found then
            raise exception 'a later build of {{ this.name }} has finished already'
            using hint = 'Run the build again; if this machine''s clock was set back, with --full-refresh.';
        end if;
    end
    $$
    {{- settle() }}
{%- endmacro %}

{% macro follow(model_name) -%}
    {#- A deferred parent's version counts in another target, so what is built from one has no mark
        here, nor has what follows that: their next build reconsiders every row. -#}
    {{ forget_proofs() }}
    delete from {{ watermark_table() }}
    where
        model = '{{ this.name }}'
        {%- if not is_deferred(model_name) %}
        and not exists (select from {{ watermark_table() }} where model = '{{ model_name }}');
    insert into {{ watermark_table() }} as mark (model, version)
    select '{{ this.name }}', version
    from {{ watermark_table() }}
    where model = '{{ model_name }}'
    on conflict (model) do update
    set version = excluded.version
    where mark.version is distinct from excluded.version
        {%- endif %}
    {{- settle() }}
{%- endmacro %}

{% macro note_rows_that_leave(target, source, unique_key) -%}
    {#- Before a merge. Who refers to a row that leaves does not change, and yet may be wrong then.
        The query has columns, is materialized and apart from the update for Citus. -#}
    do $$
    begin
        if exists (
            with gone as materialized (
                select {{ unique_key }} from {{ source }} where load_timestamp is null
            )
            select held.{{ unique_key }}
            from gone
            inner join {{ target }} as held on gone.{{ unique_key }} = held.{{ unique_key }}
        ) then
            update {{ watermark_table() }}
            set rows_left_in = version
            where model = '{{ this.name }}';
        end if;
    end
    $$
{%- endmacro %}
