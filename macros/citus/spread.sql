{#- The same models on a Citus cluster (docs/operations/citus.md). A model says in
    `config.meta.citus` how its rows are spread; only where WAREHOUSE_WORKERS names worker nodes does
    that mean anything. Without, every macro below hands over to dbt's own. -#}

{% macro spread() -%}
    {#- How the rows of the model are spread, or none: no cluster, or a model that does not say. -#}
    {%- set wanted = (config.get('meta') or {}).get('citus') -%}
    {{ return(wanted if wanted and env_var('WAREHOUSE_WORKERS', '') else none) }}
{%- endmacro %}

{% macro spread_table(relation, by, with=none) -%}
    {%- if by -%}
        select create_distributed_table(
            '{{ relation }}', '{{ by }}', colocate_with => '{{ with or 'default' }}'
        )
    {%- else -%}
        {#- The first of a database in turns: made at the same moment, each would begin a group of its
            own, and a node that is added later gets the tables of one group. -#}
        select pg_advisory_xact_lock(hashtext('create_reference_table'))
        where not exists (select from pg_dist_partition where partmethod = 'n' and repmodel = 't');
        select create_reference_table('{{ relation }}')
    {%- endif -%}
{%- endmacro %}

{% macro table_of_model(name) -%}
    {#- None where it has not been built: a deferred parent is in another database. -#}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == name -%}
        {{ return(load_relation(api.Relation.create(
            database=target.database, schema=node.schema, identifier=node.alias
        ))) }}
    {%- endfor -%}
{%- endmacro %}

{% macro postgres__make_temp_relation(base_relation, suffix) -%}
    {#- Citus cannot spread a temporary table, so the rows of a build wait in an ordinary one; always
        of the same name, as forget_rows_of_a_build has to find it. Builds of a model take turns. -#}
    {%- if spread() -%}
        {{ return(postgres__make_relation_with_suffix(base_relation, suffix, dstring=false)) }}
    {%- endif -%}
    {{ return(dbt.postgres__make_temp_relation(base_relation, suffix)) }}
{%- endmacro %}

{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {#- Spread while it is empty, then filled: the rows go straight to the shards. -#}
    {%- set citus = spread() -%}
    {%- if not citus -%}
        {{ return(dbt.postgres__create_table_as(temporary, relation, sql)) }}
    {%- endif -%}
    {%- set contract = config.get('contract').enforced -%}
    {%- if contract -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    {% if contract and not temporary -%}
        create table {{ relation }}
        {{ get_table_columns_and_constraints() }};
        {%- set sql = get_select_subquery(sql) %}
    {%- else -%}
        create table {{ relation }} as (
            {{ sql }}
        ) with no data;
    {%- endif %}
    {% if citus.reference -%}
        {{ spread_table(relation, none) }};
    {%- elif temporary -%}
        {#- By the key: a row that tells a key to go has nothing else. -#}
        {{ spread_table(relation, config.get('unique_key')) }};
    {%- else -%}
        {{ spread_table(relation, citus.distribute_by, table_of_model(citus.colocate_with)) }};
    {%- endif %}
    insert into {{ relation }}
    {% if contract and not temporary %}({{ adapter.dispatch('get_column_names', 'dbt')() }}){% endif %}
    {{ sql }};
{%- endmacro %}

{% macro spread_index(index_dict) -%}
    {#- Each shard can only vouch for its own rows, so a unique index takes in what they are spread
        by. As that follows from the key, no row more can get in. -#}
    {%- set by = spread().distribute_by -%}
    {%- if by and index_dict.unique and by not in index_dict.columns -%}
        {{ return(dict(index_dict, columns=index_dict.columns + [by])) }}
    {%- endif -%}
    {{ return(index_dict) }}
{%- endmacro %}
