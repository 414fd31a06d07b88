"""CSV files into the lake, raw, in parallel chunks.

A load has four steps, each a function that a scheduler can call in a process of its own:

    plan -> begin_load -> extract (each range) -> load_chunk (each chunk) -> finish_load

`python -m orchestration.loader SOURCE` runs them all on this machine.
"""

from orchestration.loader.database import connect
from orchestration.loader.errors import LoaderError, RefusedError
from orchestration.loader.extraction import Extract, extract
from orchestration.loader.ledger import Load, LoadResult, begin_load, begin_set, finish_load
from orchestration.loader.merge import ChunkResult, load_chunk
from orchestration.loader.planning import Plan, Range, Survey, plan, plan_set, survey
from orchestration.loader.run import load_file, worker_pool

__all__ = [
    "ChunkResult",
    "Extract",
    "Load",
    "LoadResult",
    "LoaderError",
    "Plan",
    "Range",
    "RefusedError",
    "Survey",
    "begin_load",
    "begin_set",
    "connect",
    "extract",
    "finish_load",
    "load_chunk",
    "load_file",
    "plan",
    "plan_set",
    "survey",
    "worker_pool",
]
