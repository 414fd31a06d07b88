{#- One build of a target at a time. dbt keeps no connection open between its nodes, so the lock is a
    row that names its holder; whether a holder is still alive is seen from its sessions, which
    carry its id in every statement's comment (see query_comment). Should a build be taken for dead
    while it is not, the watermarks still keep every model right: follow_lake stops one of the two. -#}

{% macro build_lock_table() -%}
    {{ generate_schema_name('audit') | trim }}.build_lock
{%- endmacro %}

{% macro query_comment(node) -%}
    {{ tojson({
        'app': 'dbt',
        'invocation_id': invocation_id,
        'target': target.name,
        'node_id': node.unique_id if node else none,
    }) }}
{%- endmacro %}

{% macro writes_to_the_target() -%}
    {{ return(flags.WHICH in ('build', 'run', 'test', 'seed', 'snapshot', 'retry', 'clone')) }}
{%- endmacro %}

{% macro prepare_run() -%}
    {%- if execute and writes_to_the_target() -%}
        {%- if not env_var('WAREHOUSE_WORKERS', '') and run_query("select 1 from pg_extension where extname = 'citus'").rows -%}
            {%- do exceptions.raise_compiler_error(
                'This warehouse is spread over a Citus cluster; let WAREHOUSE_WORKERS name the worker nodes'
            ) -%}
        {%- endif -%}
        {%- do refresh_window() -%}
        {%- do run_query(create_audit_tables()) -%}
        {%- do _claim_build() -%}
    {%- endif -%}
{%- endmacro %}

{% macro create_audit_tables() -%}
    begin;
    -- "if not exists" is no protection against somebody else doing it at the same moment.
    select pg_advisory_xact_lock(hashtext('{{ build_lock_table() }}'));
    create schema if not exists {{ generate_schema_name('audit') | trim }};
    create table if not exists {{ watermark_table() }} (
        model text primary key,
        lake_horizon bigint,
        version timestamptz not null,
        rows_left_in timestamptz
    );
    alter table {{ watermark_table() }} add column if not exists rows_left_in timestamptz;
    create table if not exists {{ proof_table() }} (
        test text primary key,
        definition text not null,
        models text[] not null,
        version timestamptz not null,
        lake_horizon bigint
    );
    create table if not exists {{ build_lock_table() }} (
        only_row boolean primary key default true check (only_row),
        holder text,
        since timestamptz
    );
    insert into {{ build_lock_table() }} default values on conflict do nothing;
    {{ create_history_tables() }}
    commit
{%- endmacro %}

{% macro _claim_build(patience=1800, silence=5, pause=0.25) -%}
    {%- set state = namespace(claimed=false, silent=0, told=false) -%}
    {%- for _ in range((patience / pause) | int) if not state.claimed -%}
        {%- set found = run_query(
            "select holder, since::timestamptz(0)::text, exists ("
            ~ "select from pg_stat_activity where pid <> pg_backend_pid()"
            ~ " and strpos(query, '\"invocation_id\": \"' || holder || '\"') > 0)"
            ~ " from " ~ build_lock_table()
        ).rows[0] -%}
        {%- set holder, since, alive = found[0], found[1], found[2] -%}
        {%- if holder is none or state.silent >= silence -%}
            {%- set state.claimed = run_query(
                "update " ~ build_lock_table() ~ " set holder = '" ~ invocation_id ~ "', since = now()"
                ~ " where holder is not distinct from " ~ ("'" ~ holder ~ "'" if holder else "null")
                ~ " returning holder"
            ).rows | length > 0 -%}
            {%- do run_query('commit') -%}
            {%- set state.silent = 0 -%}
        {%- else -%}
            {%- if not state.told -%}
                {%- do log('Another build of this target has been running since ' ~ since ~ ': waiting for it to end', info=true) -%}
                {%- set state.told = true -%}
            {%- endif -%}
            {%- set state.silent = 0 if alive else state.silent + pause -%}
            {%- do run_query('select pg_sleep(' ~ pause ~ ')') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not state.claimed -%}
        {%- do exceptions.raise_compiler_error(
            'Another build of this target has been running for more than ' ~ patience
            ~ ' seconds; wait until it has ended and run this one again'
        ) -%}
    {%- endif -%}
{%- endmacro %}

{% macro finish_run() -%}
    {%- if execute and writes_to_the_target() -%}
        update {{ build_lock_table() }} set holder = null where holder = '{{ invocation_id }}'
    {%- endif -%}
{%- endmacro %}
