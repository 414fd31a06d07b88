"""How a chunk is merged where a Citus cluster holds the lake (docs/operations/citus.md).

Citus merges into a distributed table from distributed tables only, and the staged rows of a chunk
are in a temporary one. An insert with a conflict clause does the same work: the coordinator sends
each row to the shard that its id names, and the shards insert or update side by side.
"""

from __future__ import annotations

from orchestration.loader.database import Connection

# `load_xid` is written here and not by a trigger, which would run on a worker and take a number of
# the worker's own. A row that was inserted, and not updated, has no transaction that ended it.
UPSERT = """
    with merged as (
        insert into {landing_table} as lake
            ({columns}, source_file, source_line, load_timestamp, load_xid)
        select
            {columns}, %(source_file)s, source_line, %(load_timestamp)s,
            pg_current_xact_id()::text::bigint
        from {file_rows} as file
        on conflict ({key}) do update set
            ({values}, source_file, source_line, load_timestamp, load_xid) = (
                {new_values}, excluded.source_file, excluded.source_line,
                excluded.load_timestamp, excluded.load_xid
            )
        where ({lake_values}) is distinct from ({new_values})
        returning xmax = 0 as is_new
    )
    select
        count(*) filter (where is_new),
        count(*) filter (where not is_new)
    from merged
"""


def is_distributed(connection: Connection) -> bool:
    """Whether the lake is spread over a cluster."""
    found = connection.execute("select from pg_extension where extname = 'citus'").fetchone()
    return found is not None
