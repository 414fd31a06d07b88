-- `pro`: what there is to read in it, for the window in `dev` (deferral_dev.sql). Run by
-- provision.py; running it again changes nothing.

create schema if not exists deferral;
comment on schema deferral is 'What dbt_pro has built: the catalogue from which dev keeps its window on pro current';

create or replace view deferral.built_column as
select
    pg_namespace.nspname::text as schema_name,
    pg_class.relname::text as relation_name,
    pg_attribute.attname::text as column_name,
    format_type(pg_attribute.atttypid, pg_attribute.atttypmod) as data_type,
    pg_attribute.attnum as position
from pg_attribute
inner join pg_class on pg_attribute.attrelid = pg_class.oid
inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
where
    pg_get_userbyid(pg_class.relowner) = 'dbt_pro'
    and pg_class.relkind in ('r', 'p', 'v', 'm')
    and pg_attribute.attnum > 0
    and not pg_attribute.attisdropped;

grant usage on schema deferral to pro_reader;
grant select on deferral.built_column to pro_reader;

-- Whatever dbt builds in pro, these can read; nobody but dbt_pro can write.
alter default privileges for role dbt_pro grant usage on schemas to analysts, dbt_ci, pro_reader;
alter default privileges for role dbt_pro grant select on tables to analysts, dbt_ci, pro_reader;

-- And what it had built before a reader was there.
do $$
declare
    built name;
begin
    for built in select nspname from pg_namespace where pg_get_userbyid(nspowner) = 'dbt_pro' loop
        execute format('grant usage on schema %I to analysts, dbt_ci, pro_reader', built);
        execute format('grant select on all tables in schema %I to analysts, dbt_ci, pro_reader', built);
    end loop;
end
$$;
