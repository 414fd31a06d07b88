-- Run by provision.py after landing.sql for each landing table, unless a Citus cluster holds the lake.

create or replace function forex.stamp_load_xid() returns trigger
language plpgsql as $$
begin
    new.load_xid := pg_current_xact_id()::text::bigint;
    return new;
end
$$;

-- A trigger and not the loader's duty: whoever updates a row, the warehouse hears of it.
create or replace trigger stamp_load_xid
before update on {table}
for each row execute function forex.stamp_load_xid();
