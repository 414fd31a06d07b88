"""What `make lint` does not judge in the workflows: it judges schemas, pins, injections."""

import re
import subprocess

import yaml

from orchestration.warehouse.settings import CHECKOUT

FOLDER = CHECKOUT / ".github"
# Each command of a workflow, and the tests that run it here.
COMMANDS = {
    "make setup": "end_to_end/test_make_run.py",
    "make lint": "`make test` begins with it",
    "make test": "this is it",
    "make ${{ matrix.tests }}": "make test; the cluster's and the deep tests, by their makers",
    "make run TARGET=pro": "end_to_end/test_make_run.py",
    "make ci-state": "end_to_end/test_make_run.py",
    "make ci-pro": "end_to_end/test_make_run.py",
    "make ci-build": "end_to_end/test_make_run.py",
    "make ci-drop": "end_to_end/test_make_run.py",
    "python3 -m orchestration.slim_ci.comment report/report.md": "slim_ci/test_comment.py",
}
MAY_WRITE = {"comment": {"pull-requests"}}


def _workflows():
    for path in sorted(FOLDER.glob("workflows/*.yml")):
        content = yaml.safe_load(path.read_text())
        yield path.stem, content, content.get("on", content.get(True))  # YAML 1.1: on means true


def _steps():
    for _, content, _ in _workflows():
        for job in content["jobs"].values():
            yield from job["steps"]
    for path in FOLDER.glob("actions/*/action.yml"):
        yield from yaml.safe_load(path.read_text())["runs"]["steps"]


def test_each_command_is_one_that_a_test_runs():
    assert {step["run"] for step in _steps() if "run" in step} == set(COMMANDS)


def test_each_target_exists():
    wanted = {word for command in COMMANDS for word in re.findall(r"^make ([a-z-]+)", command)}
    for content in (c for name, c, _ in _workflows() if name == "nightly"):
        wanted |= set(content["jobs"]["test"]["strategy"]["matrix"]["tests"])
    known = subprocess.run(
        ["make", "--no-print-directory", "-pn", "help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    ).stdout
    assert wanted <= set(re.findall(r"^([a-z-]+):", known, re.MULTILINE))


def test_no_workflow_may_write_more_than_it_must():
    for name, content, _ in _workflows():
        assert content["permissions"] == {}
        for job in content["jobs"].values():
            writes = {what for what, level in job["permissions"].items() if level == "write"}
            assert writes == MAY_WRITE.get(name, set())


def test_main_s_token_and_secrets_meet_no_code_of_a_pull_request():
    for name, content, triggers in _workflows():
        steps = [step for job in content["jobs"].values() for step in job["steps"]]
        checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"] == {"persist-credentials": False} for step in checkouts), name
        if {"workflow_run", "pull_request_target"} & set(triggers):
            assert all("ref" not in step["with"] for step in checkouts)
        elif "pull_request" in triggers:
            assert "GITHUB_TOKEN" not in str(content)


def test_a_superseded_run_is_cancelled():
    cancelled = {
        name for name, content, _ in _workflows() if content["concurrency"]["cancel-in-progress"]
    }
    assert cancelled == {"pull_request"}


def test_caches_are_keyed_on_the_locks():
    keys = [
        step["with"]["key"]
        for step in _steps()
        if "/cache@" in step.get("uses", "").replace("actions", "")
    ]
    assert keys == ["uv-${{ runner.os }}-${{ hashFiles('requirements/*.txt') }}"]
