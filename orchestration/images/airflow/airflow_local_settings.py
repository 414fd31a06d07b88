"""Airflow imports this module at the start of each of its processes.

A Celery worker touches a file whenever it has told the broker that it lives, so that its health is
seen for nothing (`celery inspect ping` costs seconds of processor time).
"""

import sys

if sys.argv[1:3] == ["celery", "worker"]:
    from pathlib import Path

    from celery.signals import heartbeat_sent

    from orchestration.cluster.health import HEARTBEAT

    @heartbeat_sent.connect(weak=False)
    def _beat(**_: object) -> None:
        Path(HEARTBEAT).touch()
