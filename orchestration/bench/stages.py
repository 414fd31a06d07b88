"""The stages of the benchmark: `python -m orchestration.bench.stages REPEAT STAGES SIZES`."""

from __future__ import annotations

import sys
import time

from orchestration.bench import build, load, peers, report, words
from orchestration.bench.measure import machine, repetitions

STAGES = {
    "load": load.measure,
    "build": build.measure,
    "words": words.measure,
    "peers": peers.measure,
}
ONCE = {"words"}  # have no size


def main() -> int:
    """Run stages, one size after the other; write the report after each."""
    repeat, stages, sizes = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
    runs = [
        (stage, int(rows)) for stage in stages for rows in (sizes[:1] if stage in ONCE else sizes)
    ]
    for number, (stage, rows) in enumerate(runs, 1):
        name = stage if stage in ONCE else f"{stage}, {rows:,} rows"
        print(f"[{number} of {len(runs)}] {name} …", flush=True)
        started, times = time.monotonic(), repetitions(rows, repeat)
        found = STAGES[stage](rows, times)
        if found:
            about = {"repetitions": times, "machine": machine()}
            report.add(stage, "all" if stage in ONCE else str(rows), about | found)
        print(f"    {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
