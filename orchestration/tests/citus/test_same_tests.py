"""What holds on one server holds on a cluster: the same tests, played there."""

import json
import os
import subprocess
import sys

import pytest

from orchestration.warehouse.settings import CHECKOUT

TESTS = "orchestration/tests"
HISTORIES = os.environ.get("HISTORIES", "2")  # each takes half a minute on a cluster
PLAYED = {
    "loader's rules": (
        [f"{TESTS}/loader/test_loader_rules.py"],
        # Not of the way in that a cluster does not take: new ids copied straight.
        "not looked_up and not copied_straight and not another_writer",
    ),
    "loader's races": (
        [f"{TESTS}/loader/test_loader_crash.py"],
        "serial_order or killed_anywhere or overtaken or newer_load or merged_twice",
    ),
    "any history": ([f"{TESTS}/dbt/test_any_history.py"], "any_history or alone"),
    # The one that is left out goes on to a server without workers.
    "pull requests": ([f"{TESTS}/slim_ci/test_build.py"], "not makes_another_server"),
    "builds during a load": ([f"{TESTS}/dbt/test_build_during_a_load.py"], ""),
    # A cluster has no trigger: an update that does not stamp the row is none of the loader's.
    "late commits": ([f"{TESTS}/dbt/test_late_commits.py"], "not over_many_builds"),
}


@pytest.mark.parametrize("what", PLAYED)
def test_holds_on_a_cluster(cluster, what):
    files, selection = PLAYED[what]
    played = subprocess.run(
        [sys.executable, "-m", "pytest", "--numprocesses=0", "-k", selection, *files],
        cwd=CHECKOUT,
        env=os.environ | {"PLAY_ON": json.dumps(cluster.environment), "HISTORIES": HISTORIES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout
    assert " passed" in played.stdout
