"""`python -m orchestration.bench [STAGE …] [--rows N …] [--repeat N]`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from orchestration.bench.stages import STAGES
from orchestration.warehouse import scratch


def main() -> int:
    """Run the stages on a throw-away server."""
    parser = argparse.ArgumentParser(prog="orchestration.bench", description=__doc__)
    parser.add_argument("stages", nargs="*", help=f"of {', '.join(STAGES)} (default: all)")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000], help="sizes"
    )
    parser.add_argument("--repeat", type=int, default=5, help="up to a million rows; beyond: once")
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    command = [sys.executable, "-m", "orchestration.bench.stages", str(arguments.repeat)]
    command += [",".join(arguments.stages or STAGES), ",".join(map(str, arguments.rows))]
    with scratch.server(options="") as own:
        return subprocess.run(command, env=own, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
