"""Grafana's files: they are what the code makes, and name what exists."""

import json
import re

import pytest
import yaml

from orchestration.observability import dashboards
from orchestration.tests.observability.names import produced
from orchestration.warehouse.settings import CHECKOUT

GRAFANA = CHECKOUT / "orchestration/observability/grafana"
NAMES = sorted(dashboards.DASHBOARDS)
# What Prometheus itself and the exporters that are not ours name.
OTHERS = ("pg_", "redis_", "up", "ALERTS", "forex:")


@pytest.fixture(params=NAMES)
def board(request):
    return json.loads((GRAFANA / f"dashboards/{request.param}.json").read_text())


def targets(board):
    return [(panel, target) for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_what_the_code_makes(name):
    file = GRAFANA / f"dashboards/{name}.json"
    assert file.read_text() == dashboards.text(name), (
        "run: .venv/bin/python -m orchestration.observability.dashboards"
    )
    assert {file.stem for file in (GRAFANA / "dashboards").iterdir()} == set(NAMES)


def test_panels_do_not_overlap(board):
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert place["x"] + place["w"] <= dashboards.WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_data_source_is_provisioned(board):
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())
    known = {(source["uid"], source["type"]) for source in provisioned["datasources"]}
    for panel, target in targets(board):
        for holder in (panel, target):
            assert (holder["datasource"]["uid"], holder["datasource"]["type"]) in known


def test_every_metric_is_made_by_something(board):
    known = produced()
    for panel, target in targets(board):
        words = re.sub(r'"[^"]*"|\$__\w+', "", target.get("expr", ""))
        words = re.sub(r"\b(by|on) \([^)]*\)|\{[^}]*\}", "", words)
        for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*_[a-zA-Z0-9_:]+", words):
            if name in ("histogram_quantile", "sort_desc") or name.startswith(OTHERS):
                continue
            assert re.sub(r"_(bucket|count|sum)$", "", name) in known, (panel["title"], name)


def test_every_named_dbt_test_exists(board):
    for _, target in targets(board):
        for name in re.findall(r'forex_dbt_test_failures\{test="(\w+)"\}', target.get("expr", "")):
            assert (CHECKOUT / f"tests/{name}.sql").exists()


def test_no_password_is_in_a_file():
    text = (GRAFANA / "provisioning/datasources/datasources.yml").read_text()
    assert re.findall(r"password: (.*)", text) == ['"$__file{/run/secrets/dashboard_password}"}']
