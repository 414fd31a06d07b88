"""Two builds of one target take turns; a dead build does not block the next."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from orchestration.warehouse.settings import CHECKOUT

DBT = str(Path(sys.executable).with_name("dbt"))


def _build(folder, *arguments):
    return subprocess.Popen(
        [DBT, "run", "--target", "dev", "--target-path", folder, "--log-path", folder, *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def slow_dev(server, lake):
    """`dev`, in which somebody holds up the build at its second silver model until released."""
    subprocess.run([DBT, "run", "--quiet", "--full-refresh"], cwd=CHECKOUT, check=True)
    with psycopg.connect(server("dev", "postgres")) as blocker:
        blocker.execute("lock table analyst_silver.transaction in access exclusive mode")
        yield blocker


def _wait_until_blocked(server):
    with psycopg.connect(server("dev", "postgres"), autocommit=True) as watcher:
        for _ in range(2400):
            blocked = watcher.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            ).fetchone()
            if blocked != (0,):
                return
            time.sleep(0.05)
    raise AssertionError("no build reached the locked table")


def test_the_second_build_waits_and_says_so(server, slow_dev, tmp_path):
    first = _build(tmp_path / "1")
    _wait_until_blocked(server)
    second = _build(tmp_path / "2")
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(second.stdout))
    reader.start()
    # Longer than the silence after which a build is taken for dead.
    for _ in range(2400):
        if any("Another build of this target" in line for line in lines):
            break
        time.sleep(0.05)
    time.sleep(6)
    assert second.poll() is None and first.poll() is None
    slow_dev.rollback()
    output = first.communicate()[0]
    reader.join()
    assert first.returncode == 0, output
    assert second.wait() == 0, lines
    assert any("Another build of this target" in line for line in lines)


def test_a_killed_build_does_not_block_the_next(server, slow_dev, tmp_path):
    killed = _build(tmp_path / "1")
    _wait_until_blocked(server)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    slow_dev.rollback()
    following = _build(tmp_path / "2")
    output = following.communicate(timeout=60)[0]
    assert following.returncode == 0, output


def test_builds_of_different_targets_do_not_wait(server, slow_dev, tmp_path):
    blocked = _build(tmp_path / "1")
    _wait_until_blocked(server)
    other = _build(tmp_path / "2", "--target", "pro")
    output = other.communicate(timeout=60)[0]
    assert other.returncode == 0, output
    assert "Another build" not in output
    slow_dev.rollback()
    assert blocked.wait() == 0


def test_a_build_that_was_overtaken_stops(server, slow_dev, tmp_path):
    """The second line: were the lock to fail, a run never writes rows of an older version."""
    slow_dev.execute(
        "update analyst_audit.watermark set version = now() + interval '1 hour'"
        " where model = 'cleaned_transaction'"
    )
    slow_dev.commit()
    late = _build(tmp_path / "1", "--select", "cleaned_transaction")
    output = late.communicate(timeout=60)[0]
    assert late.returncode != 0
    assert "a later build of cleaned_transaction has finished already" in output
    again = _build(tmp_path / "1", "--full-refresh", "--select", "cleaned_transaction+")
    assert again.wait() == 0
