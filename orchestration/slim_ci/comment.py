"""Put a report into its pull request: `python3 -m orchestration.slim_ci.comment REPORT`.

Runs in a workflow that a pull request's workflow has started (`workflow_run`): with a token that
may write comments, on main's code. What the report says may come from anybody and is text, no
more. Standard library only, so that nothing is installed beside the token.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

MARK = "<!-- slim-ci -->"  # tells our comment from others, to be replaced by the next
LIMIT = 60_000  # GitHub takes 65,536 characters


def _call(method: str, path: str, content: dict[str, str] | None = None) -> Any:  # noqa: ANN401
    request = urllib.request.Request(  # noqa: S310 - GitHub's own address
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=json.dumps(content).encode() if content else None,
        headers={
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Accept": "application/vnd.github+json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def _pull_request(run: dict[str, Any]) -> int | None:
    """Return the number of the open pull request that a run was for.

    The event names none for a fork, and a number that the run itself had written down could be any
    other's: so it is looked up by branch and commit.
    """
    head = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    query = urllib.parse.urlencode({"state": "open", "head": head})
    for pull in _call("GET", f"pulls?{query}"):
        if pull["head"]["sha"] == run["head_sha"]:
            return int(pull["number"])
    return None


def _harmless(report: str) -> str:
    """Keep a report from calling people, and from passing for a comment of another kind."""
    return report.replace("@", "@\u200b").replace("<", "&lt;")[:LIMIT]


def publish(report: Path, event: dict[str, Any]) -> str:
    """Write the comment, or replace the one of the run before, and return what was done."""
    if not report.exists():
        return "The run left no report: it was cancelled, or failed before Slim CI"
    number = _pull_request(event["workflow_run"])
    if number is None:
        return "The pull request is closed, or has moved on to another commit"
    content = {"body": f"{MARK}\n{_harmless(report.read_text())}"}
    comments = f"issues/{number}/comments"
    for comment in _call("GET", f"{comments}?per_page=100"):
        if comment["user"]["type"] == "Bot" and comment["body"].startswith(MARK):
            _call("PATCH", f"issues/comments/{comment['id']}", content)
            return f"Replaced the comment in pull request {number}"
    _call("POST", comments, content)
    return f"Commented in pull request {number}"


if __name__ == "__main__":
    print(publish(Path(sys.argv[1]), json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())))
