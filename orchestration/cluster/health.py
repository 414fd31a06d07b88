"""Health checks of the containers: `python -m orchestration.cluster.health COMPONENT`.

`worker` asks for a recent heartbeat to the broker; any other component is asked of the web server,
which knows when each was last heard of.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

API = "http://api-server:8080/api/v2/monitor/health"
HEARTBEAT = "/tmp/worker-heartbeat"  # noqa: S108 - a file system of the container's own
HEARTBEAT_SECONDS = 30


def worker_address() -> str:
    """Return where the web server reaches this worker: Airflow's `hostname_callable`."""
    return os.environ["WORKER_ADDRESS"]


def healthy(component: str) -> bool:
    """Whether a component is well."""
    if component == "worker":
        age = time.time() - Path(HEARTBEAT).stat().st_mtime
        return age < HEARTBEAT_SECONDS
    with urllib.request.urlopen(API, timeout=5) as answer:
        report = json.load(answer)
    return bool(report[component]["status"] == "healthy")


if __name__ == "__main__":
    try:
        sys.exit(0 if healthy(sys.argv[1]) else 1)
    except OSError as error:
        sys.exit(str(error))
