"""The names that the rest is built on are those that Airflow 3.3 sends."""

import re

import yaml

from orchestration.tests.dags.conftest import AIRFLOW
from orchestration.tests.observability.names import OBSERVABILITY, mappings, produced

OURS = {"worker.heartbeat"}  # images/airflow/airflow_local_settings.py


def airflows_own() -> dict[str, str]:
    """Names in Airflow's package, with their types."""
    (template,) = AIRFLOW.parents[1].glob(
        "lib/python3*/site-packages/airflow/_shared/observability/metrics/metrics_template.yaml"
    )
    return {
        metric["name"]: metric["type"] for metric in yaml.safe_load(template.read_text())["metrics"]
    }


def test_every_mapped_name_is_one_that_airflow_sends():
    known = airflows_own()
    components = {name.removesuffix("_heartbeat") for name in known if name.endswith("_heartbeat")}
    assert components == {"scheduler", "dag_processor", "triggerer"}
    for mapping in mappings():
        if mapping.get("match_type") == "regex":
            continue
        name = mapping["match"].removeprefix("airflow.")
        pattern = re.escape(name).replace(r"\*", "[^.]+")
        kinds = {kind for one, kind in known.items() if re.fullmatch(pattern, one)}
        assert kinds or name in OURS, f"Airflow has no metric {name}"
        if "timer" in kinds:
            assert mapping["name"].endswith("_seconds"), mapping
        elif "counter" in kinds:
            assert mapping["name"].endswith("_total"), mapping


def test_the_rules_ask_for_what_is_produced():
    known = produced()
    for file in ("recording", "alerts"):
        text = (OBSERVABILITY / f"prometheus/rules/{file}.yml").read_text()
        for name in re.findall(r"\b(?:forex|airflow)_\w+", re.sub(r"#.*", "", text)):
            assert name in known, f"{file}.yml asks for {name}, which nothing produces"
