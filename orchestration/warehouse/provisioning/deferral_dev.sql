-- `dev`: a read-only window on `pro`, so that a build here can take its unchanged parents from there.
-- The relation gold.product_dim of pro is the foreign table pro_gold.product_dim. Run by
-- provision.py; running it again changes nothing. The address of `pro` is set there.

create schema if not exists deferral authorization pro_reader;
comment on schema deferral is 'Keeps the foreign tables pro_<schema>.<relation> as pro has them';
grant usage on schema deferral to analysts, dbt_ci;
grant usage on foreign server pro to pro_reader;

-- Owned by the role that only reads pro: nobody else can make or change a foreign table here.
grant create on database dev to pro_reader;
alter default privileges for role pro_reader grant usage on schemas to analysts, dbt_ci;
alter default privileges for role pro_reader grant select on tables to analysts, dbt_ci;

create foreign table if not exists deferral.built_column (
    schema_name text,
    relation_name text,
    column_name text,
    data_type text,
    position smallint
) server pro options (schema_name 'deferral', table_name 'built_column');
alter foreign table deferral.built_column owner to pro_reader;

create or replace view deferral.seen_column as
select
    substr(pg_namespace.nspname, 5) as schema_name,
    pg_class.relname::text as relation_name,
    pg_attribute.attname::text as column_name,
    format_type(pg_attribute.atttypid, pg_attribute.atttypmod) as data_type
from pg_foreign_table
inner join pg_class on pg_foreign_table.ftrelid = pg_class.oid
inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
inner join pg_attribute on pg_foreign_table.ftrelid = pg_attribute.attrelid
where
    starts_with(pg_namespace.nspname, 'pro_')
    and pg_get_userbyid(pg_class.relowner) = 'pro_reader'
    and pg_attribute.attnum > 0
    and not pg_attribute.attisdropped;
alter view deferral.seen_column owner to pro_reader;

-- Bring the window to what pro holds now. What is right already is not touched, so that builds
-- that are reading it go on. A view in dev that reads what pro has no more goes with it.
create or replace procedure deferral.refresh()
language plpgsql security definer
set search_path = pg_catalog, pg_temp
-- On a cluster the window is on the coordinator only, and pro_reader may enter no other node.
set citus.enable_ddl_propagation = off
as $$
declare
    change record;
    reason text;
begin
    perform pg_advisory_xact_lock(hashtext('deferral.refresh'));
    if not exists (select from deferral.built_column) then
        raise exception 'pro is empty: there is nothing to defer to'
        using hint = 'Build pro first: make run TARGET=pro';
    end if;

    for change in
        select distinct schema_name, relation_name
        from deferral.seen_column
        left join deferral.built_column using (schema_name, relation_name, column_name, data_type)
        where built_column.position is null
    loop
        execute format(
            'drop foreign table %I.%I cascade', 'pro_' || change.schema_name, change.relation_name
        );
    end loop;

    for change in
        select
            schema_name,
            string_agg(distinct format('%I', relation_name), ', ') as relations
        from deferral.built_column
        left join deferral.seen_column using (schema_name, relation_name)
        where seen_column.column_name is null
        group by schema_name
    loop
        execute format('create schema if not exists %I', 'pro_' || change.schema_name);
        -- Without NOT NULL: the planner would go on to trust it after pro has given it up.
        execute format(
            'import foreign schema %I limit to (%s) from server pro into %I options (import_not_null ''false'')',
            change.schema_name, change.relations, 'pro_' || change.schema_name
        );
    end loop;

    for change in
        select built_column.*
        from deferral.built_column
        left join deferral.seen_column using (schema_name, relation_name, column_name)
        where seen_column.data_type is null
        order by built_column.position
    loop
        execute format(
            'alter foreign table %I.%I add column %I %s',
            'pro_' || change.schema_name, change.relation_name, change.column_name, change.data_type
        );
    end loop;
exception
    when sqlclient_unable_to_establish_sqlconnection or connection_failure then
        get stacked diagnostics reason = pg_exception_detail;
        raise exception 'pro cannot be reached, and this build reads its unchanged parents from there: %', split_part(reason, E'\n', 1)
        using hint = 'Is the server of the database pro up? Without it, build without deferral.';
end
$$;
alter procedure deferral.refresh owner to pro_reader;
revoke all on procedure deferral.refresh from public;
grant execute on procedure deferral.refresh to analysts, dbt_ci;
