"""Worker nodes for docker-compose.citus.yml: `python3 -m orchestration.cluster.citus_workers 3`.

Compose can repeat a service, but not give each copy a volume of its own, which a database needs.
So this prints one service a node, as a file to lay over the others. Needs a bare Python only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ORCHESTRATION = Path(__file__).resolve().parents[1]


def overlay(workers: int) -> dict[str, object]:
    """Return the Compose file that adds worker nodes, and tells the others of them.

    Args:
        workers: How many.

    """
    names = [f"citus-worker-{number}" for number in range(1, workers + 1)]
    told = {"environment": {"WAREHOUSE_WORKERS": ",".join(f"{name}:5432" for name in names)}}
    nodes = {
        name: {
            "extends": {
                "file": str(ORCHESTRATION / "docker-compose.citus.yml"),
                "service": "citus-worker",
            },
            "volumes": [f"{name}:/var/lib/postgresql"],
            "deploy": {"replicas": 1},
        }
        for name in names
    }
    healthy = {name: {"condition": "service_healthy"} for name in names}
    return {
        "services": {
            **nodes,
            "provision": {**told, "depends_on": healthy},
            "dbt": told,
            "worker": told,
        },
        "volumes": {name: {} for name in names},
    }


def main() -> int:
    """Run the command line."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit() or int(sys.argv[1]) < 1:
        print("error: say how many worker nodes, at least 1", file=sys.stderr)
        return 2
    json.dump(overlay(int(sys.argv[1])), sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
