-- `pro`: what Grafana's role reads, which is the marts and nothing below them. Run by provision.py;
-- running it again changes nothing. The schema is dbt's; made here so that rights in it can be given.

create schema if not exists data_marts authorization dbt_pro;
grant usage on schema data_marts to dashboard;
grant select on all tables in schema data_marts to dashboard;
alter default privileges for role dbt_pro in schema data_marts grant select on tables to dashboard;
