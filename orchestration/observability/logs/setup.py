"""Accounts, retention, views: `python -m orchestration.observability.logs.setup STEP`.

The steps are `elasticsearch` and, once Kibana runs, `kibana`.

Runs at each start, as the superuser `elastic`, which nothing else logs in as; what is right already
stays as it is.
"""

from __future__ import annotations

import base64
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
SECRETS = Path("/run/secrets")
TIMEOUT_SECONDS = 60


class Server:
    """Elasticsearch or Kibana, over HTTP."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        login = base64.b64encode(f"elastic:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "kbn-xsrf": "setup"}

    def send(
        self, method: str, path: str, body: bytes, kind: str = "application/json"
    ) -> dict[str, Any]:
        """Send a request and return the answer; raise what is not well."""
        request = Request(  # noqa: S310 - of our own network
            self._url + path, body, self._headers | {"Content-Type": kind}, method=method
        )
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found


def _secret(name: str) -> str:
    return (SECRETS / name).read_text()


def requests() -> Iterator[tuple[str, str, bytes]]:
    """Return what Elasticsearch is asked for, in order."""
    yield "PUT", "/_ilm/policy/forex-logs", (HERE / "elasticsearch/lifecycle.json").read_bytes()
    yield "PUT", "/_index_template/forex-logs", (HERE / "elasticsearch/template.json").read_bytes()
    yield (
        "PUT",
        "/_security/role/forex_log_writer",
        (HERE / "elasticsearch/writer.json").read_bytes(),
    )
    for user, role, secret in (
        ("forex_log_writer", "forex_log_writer", "elastic_writer_password"),
        ("operator", "viewer", "elastic_operator_password"),
    ):
        account = {"password": _secret(secret), "roles": [role]}
        yield "PUT", f"/_security/user/{user}", json.dumps(account).encode()
    password = {"password": _secret("elastic_kibana_password")}
    yield "PUT", "/_security/user/kibana_system/_password", json.dumps(password).encode()


def elasticsearch(server: Server) -> None:
    """Make policy, template, role and accounts."""
    for method, path, body in requests():
        server.send(method, path, body)


def kibana(server: Server) -> None:
    """Import the data view and the searches."""
    boundary = uuid.uuid4().hex
    head = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="kibana.ndjson"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
    )
    body = (
        head.encode() + (HERE / "kibana.ndjson").read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    )
    answer = server.send(
        "POST",
        "/api/saved_objects/_import?overwrite=true",
        body,
        f"multipart/form-data; boundary={boundary}",
    )
    if not answer["success"]:
        raise RuntimeError(f"Kibana did not take the views: {answer.get('errors')}")


def main() -> int:
    """Run the command line."""
    step, url = {
        "elasticsearch": (elasticsearch, "http://elasticsearch:9200"),
        "kibana": (kibana, "http://kibana:5601"),
    }[sys.argv[1]]
    step(Server(url, _secret("elastic_password")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
