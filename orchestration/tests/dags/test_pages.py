"""The pages that the nightly run publishes, as Airflow's web server shows them."""

import json
import os
import subprocess

import pytest

from orchestration.tests.dags.conftest import AIRFLOW
from orchestration.warehouse.settings import CHECKOUT

# Asks Airflow's own web application, in one process.
ASK = """
import json
from airflow import settings
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.revoked_token import RevokedToken
from fastapi.testclient import TestClient

RevokedToken.__table__.create(settings.engine)
app = create_app()
tokens = {
    role: get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role))
    for role in ("viewer", None)
}
tokens["forged"] = tokens["viewer"][:-8] + "AAAAAAAA"
visitors = {
    "nobody": {},
    "viewer": {"cookies": {"_token": tokens["viewer"]}},
    "program": {"headers": {"Authorization": "Bearer " + tokens["viewer"]}},
    "no rights": {"cookies": {"_token": tokens[None]}},
    "forged": {"cookies": {"_token": tokens["forged"]}},
}
paths = [
    *("static_index.html", "report.html", "manifest.json", "%2e%2e%2fsecret"),
    *("docs", "redoc", "openapi.json", ""),
]
answers = {}
for visitor, login in visitors.items():
    client = TestClient(app, **login)
    for path in paths:
        answer = client.get("/warehouse/" + path, follow_redirects=False)
        answers[visitor + " " + path] = [answer.status_code, answer.text, dict(answer.headers)]
client = TestClient(app, headers=visitors["program"]["headers"])
plugins = client.get("/api/v2/plugins").json()["plugins"]
print("FOUND" + json.dumps({"answers": answers, "plugins": plugins}))
"""


@pytest.fixture(scope="module")
def found(airflow_folder):
    home = airflow_folder / "pages"
    published = home / "published"
    published.mkdir(parents=True)
    (published / "static_index.html").write_text("<p>the docs</p>")
    (published / "manifest.json").write_text("{}")
    (home / "secret").write_text("secret")
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "orchestration/plugins"),
        "DBT_PUBLISH_PATH": str(published),
        "PYTHONPATH": str(CHECKOUT),
    }
    done = subprocess.run(
        [str(AIRFLOW), "-c", ASK], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert "FOUND" in done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.split("FOUND", 1)[1].splitlines()[0])


@pytest.mark.parametrize("visitor", ["viewer", "program"])
def test_who_has_logged_in_sees_the_page(found, visitor):
    status, text, headers = found["answers"][f"{visitor} static_index.html"]
    assert (status, text) == (200, "<p>the docs</p>")
    assert headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("visitor", "status"), [("nobody", 401), ("forged", 403), ("no rights", 403)]
)
def test_nobody_else_does(found, visitor, status):
    for page in ("static_index.html", "report.html"):
        told, text, _ = found["answers"][f"{visitor} {page}"]
        assert told == status
        assert "<p>" not in text


@pytest.mark.parametrize(
    "path", ["manifest.json", "%2e%2e%2fsecret", "docs", "redoc", "openapi.json", ""]
)
def test_only_pages_are_shown(found, path):
    assert found["answers"][f"viewer {path}"][0] == 404


def test_a_page_that_is_not_made_yet_says_so(found):
    status, text, _ = found["answers"]["viewer report.html"]
    assert status == 404
    assert "forex__warehouse__nightly" in text


def test_a_script_in_a_page_is_nobodys(found):
    policy = found["answers"]["viewer static_index.html"][2]["content-security-policy"].split("; ")
    assert "sandbox allow-scripts allow-popups" in policy  # above all, not allow-same-origin
    assert "default-src 'none'" in policy
    assert not [part for part in policy if "http" in part or "*" in part or "'self'" in part]


def test_the_menu_leads_there(found):
    (plugin,) = found["plugins"]
    assert {view["name"]: view["href"] for view in plugin["external_views"]} == {
        "Warehouse docs": "/warehouse/static_index.html",
        "Last run report": "/warehouse/report.html",
    }
    assert {(v["destination"], v["category"]) for v in plugin["external_views"]} == {
        ("nav", "browse")
    }
