"""What a run did, for its log and its note."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from airflow.sdk import Connection, Context
from airflow.sdk.exceptions import AirflowNotFoundException

log = logging.getLogger(__name__)
SHOWN_FILES = 20
TIMEOUT_SECONDS = 10
COUNTS = ("read", "inserted", "updated", "unchanged", "superseded", "rejected")


def loaded(results: list[dict[str, Any]] | None, planned: dict[str, Any] | None) -> list[str]:
    """Return lines about the files of a run."""
    planned = planned or {}
    lines = [f"- not loaded: {reason}" for reason in planned.get("refused", [])]
    if planned.get("waiting"):
        lines.append(f"- {planned['waiting']} more files wait for the next run")
    if results is None:
        return [*lines, "- the load did not finish"]
    for result in results[:SHOWN_FILES]:
        counts = ", ".join(f"{result[f'rows_{name}']:,} {name}" for name in COUNTS)
        lines.append(f"- {result['source_file']}: {counts}")
    if len(results) > SHOWN_FILES:
        lines.append(f"- and {len(results) - SHOWN_FILES} more files")
    return lines or ["- no new file"]


def built(outcome: dict[str, Any] | None) -> list[str]:
    """Return lines about a dbt build."""
    if not outcome:
        return ["- not built"]
    lines = []
    for model in outcome["models"]:
        rows = model["rows"]
        written = f"{rows:,} rows" if isinstance(rows, int) and rows >= 0 else "view"
        lines.append(f"- {model['name']}: {model['status']}, {written}, {model['seconds']} s")
    tests = ", ".join(f"{count} {status}" for status, count in sorted(outcome["tests"].items()))
    lines.append(f"- tests: {tests or 'none'}")
    lines += [f"- failed: {node['name']}: {node['message']}" for node in outcome["failed"]]
    return lines


def publish(context: Context, sections: dict[str, list[str]]) -> str:
    """Write the sections to the task's log and, if the web server can be told, the run's note."""
    text = "\n".join("\n".join([f"**{title}**", *lines]) for title, lines in sections.items())
    for line in text.splitlines():
        log.info("%s", line)
    try:
        api = Connection.get("airflow_api")
    except AirflowNotFoundException:
        log.info("no connection airflow_api: the run gets no note")
        return text
    try:
        _set_note(api, context["dag"].dag_id, str(context["run_id"]), text)
    except (urllib.error.URLError, OSError, KeyError, ValueError) as error:
        # The note is a convenience: a run does not fail for want of it.
        log.warning("the run's note could not be written: %s", error)
    return text


def _set_note(api: Connection, dag_id: str, run_id: str, text: str) -> None:
    root = f"{api.host}:{api.port}"
    login = {"username": api.login, "password": api.password}
    token = _call("POST", f"{root}/auth/token", login)["access_token"]
    run = f"{root}/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"
    _call("PATCH", f"{run}?update_mask=note", {"note": text[:1000]}, token)


def _call(method: str, url: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - the URL is an operator's setting
        url, json.dumps(body).encode(), headers, method=method
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found
