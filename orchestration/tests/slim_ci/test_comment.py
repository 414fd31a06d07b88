"""The comment in the pull request, against a stand-in for GitHub's API."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestration.slim_ci.comment import MARK
from orchestration.warehouse.settings import CHECKOUT

RUN = {
    "head_sha": "abc",
    "head_branch": "topic",
    "head_repository": {"owner": {"login": "fork"}},
    "event": "pull_request",
}


class GitHub(BaseHTTPRequestHandler):
    """Answers for one repository with one pull request from a fork."""

    def _answer(self, answer):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def do_GET(self):
        assert self.headers["Authorization"] == "Bearer token"
        if self.path.startswith("/repos/o/r/issues/7/comments"):
            return self._answer(self.server.comments)
        assert self.path == "/repos/o/r/pulls?state=open&head=fork%3Atopic"
        self._answer([{"number": 6, "head": {"sha": "old"}}, {"number": 7, "head": {"sha": "abc"}}])

    def _write(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.written.append((self.command, self.path, body["body"]))
        self._answer({})

    def do_POST(self):
        self._write()

    def do_PATCH(self):
        self._write()

    def log_message(self, *_):
        pass


@pytest.fixture
def github():
    server = HTTPServer(("127.0.0.1", 0), GitHub)
    server.comments, server.written = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _comment(github, tmp_path, report="## Slim CI: fine\n", **run):
    (tmp_path / "event.json").write_text(json.dumps({"workflow_run": RUN | run}))
    if report is not None:
        (tmp_path / "report.md").write_text(report)
    return subprocess.run(
        [sys.executable, "-m", "orchestration.slim_ci.comment", str(tmp_path / "report.md")],
        cwd=CHECKOUT,
        env=os.environ
        | {
            "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_TOKEN": "token",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_first_report_is_a_new_comment(github, tmp_path):
    github.comments = [{"id": 1, "user": {"type": "User"}, "body": f"{MARK} by somebody else"}]
    assert "Commented in pull request 7" in _comment(github, tmp_path)
    assert github.written == [
        ("POST", "/repos/o/r/issues/7/comments", f"{MARK}\n## Slim CI: fine\n")
    ]


def test_the_next_one_replaces_it(github, tmp_path):
    github.comments = [{"id": 5, "user": {"type": "Bot"}, "body": f"{MARK}\nold"}]
    assert "Replaced" in _comment(github, tmp_path)
    assert [(method, path) for method, path, _ in github.written] == [
        ("PATCH", "/repos/o/r/issues/comments/5")
    ]


def test_a_report_calls_nobody_and_is_no_html(github, tmp_path):
    _comment(github, tmp_path, "@everybody <!-- other --> <img src=x>" + "x" * 100_000)
    body = github.written[0][2]
    assert "@everybody" not in body and "<img" not in body and body.count("<!--") == 1
    assert len(body) < 65_536


def test_another_commit_gets_no_comment(github, tmp_path):
    assert "moved on" in _comment(github, tmp_path, head_sha="newer")
    assert github.written == []


def test_no_report_is_no_error(github, tmp_path):
    assert "no report" in _comment(github, tmp_path, report=None)
