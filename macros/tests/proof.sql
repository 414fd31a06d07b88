{#- What each test has passed on. In `dbt build` a test that asks looks only at rows later than
    that; `dbt test` looks at all. A note counts as long as it is the same test of the same models,
    no table was built anew and no row left a table that others refer to.
    See docs/decisions/0013-what-a-build-tests.md -#}

{% macro proof_table() -%}
    {{ generate_schema_name('audit') | trim }}.proof
{%- endmacro %}

{% macro _definition(test_id) -%}
    {#- Views are seen through: theirs is the SQL that the test runs. -#}
    {%- set test = graph.nodes[test_id] -%}
    {%- set parts = [test.raw_code, (test.test_metadata or {}).kwargs, test.config.where] -%}
    {%- for id in test.depends_on.nodes if id in graph.nodes -%}
        {%- do parts.append(graph.nodes[id].checksum.checksum) -%}
    {%- endfor -%}
    {{ return(local_md5(parts | join('|'))) }}
{%- endmacro %}

{% macro _proven(column, unknown) -%}
    {%- if not execute or flags.WHICH != 'build' -%}
        {{ return(unknown) }}
    {%- endif -%}
    {%- set others = ['none'] -%}
    {%- for id in model.depends_on.nodes if id in graph.nodes and id != model.attached_node -%}
        {%- do others.append(graph.nodes[id].name) -%}
    {%- endfor -%}
    {%- set rows = run_query(
        "select " ~ column ~ "::text from " ~ proof_table() ~ " as proof"
        ~ " where test = '" ~ model.unique_id ~ "' and definition = '" ~ _definition(model.unique_id) ~ "'"
        ~ " and not exists (select from " ~ watermark_table() ~ " as mark where mark.model in ('"
        ~ others | join("', '") ~ "') and mark.rows_left_in > proof.version)"
    ).rows -%}
    {{ return("'" ~ rows[0][0] ~ "'" if rows and rows[0][0] is not none else unknown) }}
{%- endmacro %}

{% macro proven_through() -%}
    {{ return(_proven('version', "'-infinity'") ~ '::timestamptz') }}
{%- endmacro %}

{% macro proven_horizon() -%}
    {{ return(_proven('lake_horizon', "'0'") ~ '::bigint') }}
{%- endmacro %}

{% macro get_where_subquery(relation) -%}
    {#- dbt's own, but for the word that tests put for what they have passed on. -#}
    {%- set where = config.get('where') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {{ return(
        '(select * from ' ~ relation ~ ' where '
        ~ where | replace('__proven_through__', proven_through()) ~ ') as tested'
    ) }}
{%- endmacro %}

{% macro note_proofs(results) -%}
    {#- At the end of a run: what passed, through the versions that its models have now. None where
        a model has no mark here, because it is another target's. -#}
    {%- set passed = [] -%}
    {%- for result in results if execute and writes_to_the_target() and result.node.resource_type == 'test' and result.status == 'pass' -%}
        {%- set names = [] -%}
        {%- for id in result.node.depends_on.nodes if graph.nodes.get(id, {}).get('config', {}).get('materialized') == 'incremental' -%}
            {%- do names.append(graph.nodes[id].name) -%}
        {%- endfor -%}
        {%- if names -%}
            {%- do passed.append("('" ~ result.node.unique_id ~ "', '" ~ _definition(result.node.unique_id) ~ "', array['" ~ names | join("', '") ~ "'])") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if passed -%}
        {%- do run_query(_upsert_proofs(passed)) -%}
        {%- do run_query('commit') -%}
    {%- endif -%}
{%- endmacro %}

{% macro _upsert_proofs(passed) -%}
    insert into {{ proof_table() }} as proof (test, definition, models, version, lake_horizon)
    select
        passed.test,
        passed.definition,
        passed.models,
        min(mark.version),
        min(mark.lake_horizon)
    from (values {{ passed | join(', ') }}) as passed (test, definition, models)
    inner join {{ watermark_table() }} as mark on mark.model = any (passed.models)
    group by passed.test, passed.definition, passed.models
    having count(*) = cardinality(passed.models)
    on conflict (test) do update
    set
        definition = excluded.definition,
        models = excluded.models,
        version = excluded.version,
        lake_horizon = excluded.lake_horizon
{%- endmacro %}

{% macro forget_proofs() -%}
    {#- A table that is built anew has been proven nowhere. -#}
    {%- if not is_incremental() -%}
    delete from {{ proof_table() }} where '{{ this.name }}' = any (models);
    {%- endif -%}
{%- endmacro %}
