-- Run by provision.py after landing.sql for each landing table, in the database `pro` of a Citus
-- cluster; running it again changes nothing.

-- By its key: a load's rows go straight to the shards that hold them, and silver, whose first table
-- is spread alike, cleans each row where it lies. There is no trigger that stamps `load_xid`: on a
-- shard it would take the worker's transaction number, and the marks are the coordinator's. The
-- loader, the only role that may write, sets it.
do $$
begin
    if not exists (
        select from pg_dist_partition
        where logicalrelid = {table_text}::regclass
    ) then
        perform create_distributed_table({table_text}, {key_text});
    end if;
end
$$;
