"""A stub of Elasticsearch's interface: accounts, templates and the bulk door, with its checks.

Not Elasticsearch. It holds each document against the types in the index template, and takes it only
from an account whose role may create documents in that index.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def _accepts(kind: str, value: object) -> bool:
    if isinstance(value, list):
        return all(_accepts(kind, one) for one in value)
    try:
        if kind == "date":
            datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        elif kind in ("long", "integer"):
            number = int(str(value))
            return -(2**31) <= number < 2**31 if kind == "integer" else True
        elif kind == "float":
            float(str(value))
        else:
            assert kind in ("keyword", "text"), kind
            return not isinstance(value, dict)
    except ValueError:
        return False
    return True


def faults(mapping: dict, document: dict, path: str = "") -> list[str]:
    """Why a document would be refused: fields whose values are not of their types."""
    found = []
    for name, value in document.items():
        field, own = mapping["properties"].get(name), f"{path}{name}"
        if field is None or value is None or field.get("enabled") is False:
            continue
        if "properties" in field:
            if isinstance(value, dict):
                found += faults(field, value, f"{own}.")
            else:
                found.append(f"{own} is no object")
        elif not _accepts(field["type"], value):
            found.append(f"{own}: {value!r} is no {field['type']}")
    return found


def mapped(mapping: dict, path: str) -> bool:
    """Whether a field can be searched for."""
    for name in path.split("."):
        if "properties" not in mapping or name not in mapping["properties"]:
            return False
        mapping = mapping["properties"][name]
    return True


class Elasticsearch:
    """The state of the stub."""

    def __init__(self, password: str) -> None:
        self.users = {
            "elastic": {"password": password, "roles": ["superuser"]},
            "kibana_system": {"password": "", "roles": ["kibana_system"]},
        }
        self.roles: dict[str, dict] = {}
        self.policies: dict[str, dict] = {}
        self.templates: dict[str, dict] = {}
        self.documents: dict[str, list[dict]] = {}
        self.imported = ""

    def answer(self, method: str, path: str, user: str, body: bytes) -> tuple[int, dict]:
        if path == "/_bulk":
            return self._bulk(user, body)
        if user != "elastic":
            return 403, {"error": "security_exception"}
        if path.startswith("/api/saved_objects/_import"):
            self.imported = body.decode()
            return 200, {"success": True}
        found = json.loads(body)
        kind, _, name = path.removeprefix("/_security").strip("/").partition("/")
        if kind == "user" and name.endswith("/_password"):
            self.users[name.removesuffix("/_password")]["password"] = found["password"]
        elif kind == "user":
            missing = set(found["roles"]) - set(self.roles) - {"viewer"}
            if missing or len(found["password"]) < 6:
                return 400, {"error": "validation_exception"}
            self.users[name] = found
        elif kind == "role":
            self.roles[name] = found
        elif kind == "_ilm":
            self.policies[name.removeprefix("policy/")] = found["policy"]
        elif kind == "_index_template":
            policy = found["template"]["settings"]["index.lifecycle.name"]
            if policy not in self.policies:
                return 400, {"error": f"no policy {policy}"}
            self.templates[name] = found
        else:
            return 404, {"error": path}
        return 200, {"acknowledged": True}

    def template(self, index: str) -> dict | None:
        fitting = [
            template
            for template in self.templates.values()
            if any(fnmatch.fnmatch(index, pattern) for pattern in template["index_patterns"])
        ]
        return max(fitting, key=lambda template: template["priority"], default=None)

    def _may(self, user: str, index: str, privilege: str) -> bool:
        return any(
            fnmatch.fnmatch(index, name) and privilege in grant["privileges"]
            for role in self.users[user]["roles"]
            for grant in self.roles.get(role, {"indices": []})["indices"]
            for name in grant["names"]
        )

    def _bulk(self, user: str, body: bytes) -> tuple[int, dict]:
        lines = [json.loads(line) for line in body.splitlines()]
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            ((kind, meta),) = action.items()
            index = meta["_index"]
            template = self.template(index)
            if not self._may(user, index, "create_doc"):
                items.append({kind: {"status": 403}})
            elif kind != "create" or not template or "data_stream" not in template:
                items.append({kind: {"status": 400, "error": "a data stream takes new documents"}})
            elif found := faults(template["template"]["mappings"], document):
                items.append({kind: {"status": 400, "error": found}})
            else:
                self.documents.setdefault(index, []).append(document)
                items.append({kind: {"status": 201}})
        errors = any(item[next(iter(item))]["status"] != 201 for item in items)
        return 200, {"errors": errors, "items": items}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer over HTTP; the value is the address."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                login = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
                user, password = login.split(":", 1)
                known = stub.users.get(user)
                status, found = 401, {}
                if known and known["password"] == password:
                    status, found = stub.answer(self.command, self.path, user, body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            do_PUT = do_POST = _handle  # noqa: N815 - the base class's names

            def log_request(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
