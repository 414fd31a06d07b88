-- `dev` and `pro`: a read-only door to the lake. Run by provision.py in each of the two databases;
-- running it again changes nothing. The door's address and password are set there.

create extension if not exists postgres_fdw;
create schema if not exists data_lake;
comment on schema data_lake is 'Foreign tables: the landing schema of the database data_lake, read-only';

do $$
begin
    if not exists (select from pg_foreign_server where srvname = 'data_lake') then
        create server data_lake foreign data wrapper postgres_fdw;
    end if;
    if not exists (
        select from pg_user_mappings where srvname = 'data_lake' and usename = 'public'
    ) then
        create user mapping for public server data_lake;
    end if;
end
$$;
