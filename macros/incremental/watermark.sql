{#- How far each incremental model of a target has come. One row a model, written by the model's
    pre-hook: in the transaction that builds it, so that the two can never disagree, and before it
    reads, so that it never claims more than was read. The row's lock also makes two builds of one
    model take turns. See docs/decisions/0003-watermarks-are-transaction-ids.md -#}

{% macro watermark_table() -%}
    {{ generate_schema_name('audit') | trim }}.watermark
{%- endmacro %}

{% macro create_watermark_table() -%}
    {%- if flags.WHICH in ('build', 'run') -%}
        create schema if not exists {{ generate_schema_name('audit') | trim }};
        create table if not exists {{ watermark_table() }} (
            model text primary key,
            lake_horizon bigint,
            version timestamptz not null
        )
    {%- endif -%}
{%- endmacro %}

{% macro _watermark_of(model_name, column, unknown) -%}
    {%- if not execute -%}
        {{ return(unknown) }}
    {%- endif -%}
    {%- set rows = run_query(
        "select " ~ column ~ "::text from " ~ watermark_table() ~ " where model = '" ~ model_name ~ "'"
    ).rows -%}
    {{ return("'" ~ rows[0][0] ~ "'" if rows and rows[0][0] is not none else unknown) }}
{%- endmacro %}

{% macro built_through() -%}
    {{ return(_watermark_of(this.name, 'version', "'-infinity'") ~ '::timestamptz') }}
{%- endmacro %}

{% macro version_of(model_name) -%}
    {{ return(_watermark_of(model_name, 'version', "'-infinity'") ~ '::timestamptz') }}
{%- endmacro %}

{% macro lake_horizon() -%}
    {{ return(_watermark_of(this.name, 'lake_horizon', "'0'") ~ '::bigint') }}
{%- endmacro %}

{% macro this_version() -%}
    '{{ run_started_at }}'::timestamptz
{%- endmacro %}

{% macro follow_lake() -%}
    insert into {{ watermark_table() }} as mark (model, lake_horizon, version)
    select '{{ this.name }}', low_water_mark, {{ this_version() }}
    from {{ source('forex', 'read_horizon') }}
    on conflict (model) do update
    set lake_horizon = excluded.lake_horizon, version = excluded.version
{%- endmacro %}

{% macro follow(model_name) -%}
    insert into {{ watermark_table() }} as mark (model, version)
    select '{{ this.name }}', version
    from {{ watermark_table() }}
    where model = '{{ model_name }}'
    on conflict (model) do update
    set version = excluded.version
    where mark.version is distinct from excluded.version
{%- endmacro %}
