-- The landing schema of `data_lake`. Run by provision.py for each landing table; running it again
-- changes nothing. What is in braces comes from the table's layout (orchestration/warehouse/layouts).

create schema if not exists forex;

create table if not exists {table} (
    {typed_columns},
    source_file text,
    source_line bigint,
    load_timestamp timestamptz not null default now(),
    -- The transaction that last wrote the row: what "changed since" is read by. A time stamp
    -- cannot serve: a load that began earlier may commit later.
    -- See docs/decisions/0003-watermarks-are-transaction-ids.md
    load_xid bigint not null default pg_current_xact_id()::text::bigint,
    primary key ({key})
);

-- Rows lie by and large in the order they were written, so the highest `load_xid` of every eight
-- pages finds the changed ones. It costs a load next to nothing; a B-tree takes a fifth of COPY's
-- speed. Pages too new to be summarised are read, and vacuum, which summarises, soon comes.
create index if not exists {index}
on {table} using brin (load_xid) with (pages_per_range = 8);
drop index if exists forex.customer_transactions_load_xid;
do $$
begin  -- a text of its own: Citus sends the whole of it to the workers
    alter table {table} set (autovacuum_vacuum_insert_scale_factor = 0.02);
end
$$;

-- Every transaction with a number below `low_water_mark` has ended, so whatever it wrote is
-- visible to the reader's snapshot; all others may still commit.
create or replace view forex.read_horizon as
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as low_water_mark;

create table if not exists forex.rejected_row (
    source_file text not null,
    source_line bigint not null,
    reason text not null,
    raw_line text not null,
    load_timestamp timestamptz not null default now()
);

alter table forex.rejected_row
add column if not exists table_name text not null default 'customer_transactions';

-- The same bad line of the same file is told once, however often the file is loaded.
create unique index if not exists rejected_row_told_once
on forex.rejected_row (table_name, source_file, source_line, reason, md5(raw_line));
drop index if exists forex.rejected_row_once;

create table if not exists forex.load_ledger (
    load_id bigint generated always as identity primary key,
    source_file text not null,
    content_sha256 text not null,
    chunk_count integer,
    rows_read bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    rows_superseded bigint,
    rows_rejected bigint,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint every_row_is_accounted_for check (
        finished_at is null
        or rows_read
        = rows_inserted + rows_updated + rows_unchanged + rows_superseded + rows_rejected
    )
);

alter table forex.load_ledger
add column if not exists table_name text not null default 'customer_transactions';

create table if not exists forex.load_chunk (
    load_id bigint not null references forex.load_ledger on delete cascade,
    chunk integer not null,
    rows_staged bigint not null,
    rows_inserted bigint not null,
    rows_updated bigint not null,
    rows_unchanged bigint not null,
    rows_superseded bigint not null,
    primary key (load_id, chunk)
);

revoke all on schema forex from public;
grant usage on schema forex to loader, lake_reader;
grant select on all tables in schema forex to loader, lake_reader;
grant insert, update on all tables in schema forex to loader;
revoke insert, update on forex.read_horizon from loader;
grant usage on schema forex to monitor;
grant select on forex.load_ledger to monitor;
