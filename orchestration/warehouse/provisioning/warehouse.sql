-- `dev` and `pro`: a read-only door to the lake. Run by provision.py in each of the two databases;
-- running it again changes nothing. The door itself, with address and password, is made there.

create extension if not exists postgres_fdw;
create schema if not exists data_lake;
comment on schema data_lake is 'Foreign tables: the landing schema of the database data_lake, read-only';
