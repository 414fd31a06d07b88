"""Airflow imports this module at the start of each of its processes.

A Celery worker touches a file whenever it has told the broker that it lives, so that its health is
seen for nothing (`celery inspect ping` costs seconds of processor time), and counts it for the
metrics, where there are any.
"""

import sys

if sys.argv[1:3] == ["celery", "worker"]:
    import socket
    from pathlib import Path

    from celery.signals import heartbeat_sent, worker_ready

    from orchestration.cluster.health import HEARTBEAT

    @worker_ready.connect(weak=False)
    def _start_metrics(**_: object) -> None:
        from airflow.observability import stats
        from airflow.observability.metrics import stats_utils

        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)

    @heartbeat_sent.connect(weak=False)
    def _beat(**_: object) -> None:
        from airflow.observability import stats

        Path(HEARTBEAT).touch()
        stats.incr("worker.heartbeat", tags={"hostname": socket.gethostname()})
