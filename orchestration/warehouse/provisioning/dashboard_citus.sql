-- `pro` of a Citus cluster, after dashboard.sql: the workers know nothing of a view's owner, so who
-- reads a mart has to be let read, though not write, the tables that it adds up.

alter default privileges for role dbt_pro grant usage on schemas to dashboard;
alter default privileges for role dbt_pro grant select on tables to dashboard;
do $$
declare
    built name;
begin
    for built in select nspname from pg_namespace where pg_get_userbyid(nspowner) = 'dbt_pro' loop
        execute format('grant usage on schema %I to dashboard', built);
        execute format('grant select on all tables in schema %I to dashboard', built);
    end loop;
end
$$;
