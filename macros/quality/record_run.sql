{#- What became of each run, kept for ever: the run, each of its nodes, and how many rows there are.
    Plain tables of the audit schema, for no full refresh to empty. A history is no reason for a build
    to fail: where it cannot be written, the log says why. See
    docs/decisions/0012-quality-history.md -#}

{% macro create_history_tables() -%}
    {%- set audit = generate_schema_name('audit') | trim -%}
    create table if not exists {{ audit }}.dbt_run (
        invocation_id text primary key,
        target text not null,
        command text not null,
        full_refresh boolean not null,
        started_at timestamptz not null,
        finished_at timestamptz not null,
        passed integer not null,
        warned integer not null,
        failed integer not null,
        skipped integer not null
    );
    create table if not exists {{ audit }}.dbt_result (
        unique_id text,
        invocation_id text,
        resource_type text not null,
        name text not null,
        status text not null,
        failures bigint,
        rows_affected bigint,
        execution_seconds numeric(12, 3),
        message text,
        primary key (unique_id, invocation_id)
    );
    create table if not exists {{ audit }}.row_count (
        model text,
        invocation_id text,
        rows_held bigint not null,
        counted_at timestamptz not null,
        primary key (model, invocation_id)
    );
{%- endmacro %}

{% macro record_run(results) -%}
    {#- Not in ci: a pull request's schemas go with it. -#}
    {%- if execute and writes_to_the_target() and target.name != 'ci' -%}
        {%- do _try(insert_results(results)) -%}
        {%- do _try(count_rows(results)) -%}
    {%- endif -%}
{%- endmacro %}

{% macro insert_results(results) -%}
    {%- set audit = generate_schema_name('audit') | trim -%}
    {%- set rows = [] -%}
    {%- for result in results -%}
        {%- do rows.append({
            'unique_id': result.node.unique_id,
            'resource_type': result.node.resource_type | string,
            'name': result.node.name,
            'status': result.status | string,
            'failures': result.failures,
            'rows_affected': result.adapter_response.get('rows_affected'),
            'execution_seconds': result.execution_time,
            'message': _storable(result.message),
        }) -%}
    {%- endfor -%}
    with found as (
        select *
        from json_to_recordset({{ _literal(tojson(rows)) }}) as node (
            unique_id text,
            resource_type text,
            name text,
            status text,
            failures bigint,
            rows_affected bigint,
            execution_seconds numeric,
            message text
        )
    ),

    results as (
        insert into {{ audit }}.dbt_result
        select
            unique_id,
            '{{ invocation_id }}',
            resource_type,
            name,
            status,
            failures,
            nullif(rows_affected, -1),
            execution_seconds,
            left(message, 1000)
        from found
        on conflict do nothing
    )

    insert into {{ audit }}.dbt_run
    select
        '{{ invocation_id }}',
        '{{ target.name }}',
        '{{ flags.WHICH }}',
        {{ flags.FULL_REFRESH or false }},
        {{ this_version() }},
        now(),
        count(*) filter (where status in ('success', 'pass', 'no-op')),
        count(*) filter (where status = 'warn'),
        count(*) filter (where status not in ('success', 'pass', 'no-op', 'warn', 'skipped')),
        count(*) filter (where status = 'skipped')
    from found
    on conflict do nothing;
{%- endmacro %}

{% macro count_rows(results) -%}
    {#- To count is to read whole tables, and an increment must not cost what the table costs: so
        each is counted once a day, and when it was built anew. -#}
    {%- set audit = generate_schema_name('audit') | trim -%}
    {%- for result in results
        if result.node.resource_type == 'model'
            and result.status == 'success'
            and result.node.config.materialized != 'ephemeral'
            and result.node.fqn[1] in ('bronze', 'silver', 'gold') %}
    if {{ flags.FULL_REFRESH or false }} or not exists (
        select from {{ audit }}.row_count
        where model = '{{ result.node.name }}' and counted_at >= date_trunc('day', now(), 'UTC')
    ) then
        insert into {{ audit }}.row_count
        select '{{ result.node.name }}', '{{ invocation_id }}', count(*), now()
        from {{ result.node.relation_name }}
        on conflict do nothing;
    end if;
    {% endfor -%}
{%- endmacro %}

{% macro _try(statements) -%}
    {#- Neither an error nor a lock that somebody holds stops the run. -#}
    {%- set body -%}
begin
    perform set_config('audit.failure', '', false);
    set local lock_timeout = '5s';
    {{ statements }}
exception when query_canceled or others then
    perform set_config('audit.failure', sqlerrm, false);
end
    {%- endset -%}
    {%- do run_query('do ' ~ _literal(body)) -%}
    {%- set failure = run_query("select current_setting('audit.failure')").rows[0][0] -%}
    {%- do run_query('commit') -%}
    {%- if failure -%}
        {%- do log('The history of runs could not be written: ' ~ failure, info=true) -%}
    {%- endif -%}
{%- endmacro %}

{% macro _literal(text) -%}
    {{ return(string_literal(escape_single_quotes(text))) }}
{%- endmacro %}

{% macro _storable(text) -%}
    {#- PostgreSQL's text holds all but a zero byte and half a surrogate pair. -#}
    {%- if text is none -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(text.encode('utf-8', 'replace').decode().replace('\x00', '')) }}
{%- endmacro %}
