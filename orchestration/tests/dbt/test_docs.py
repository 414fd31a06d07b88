"""The documentation: whole, said once, true of the database; a page that needs no other host."""

import json
import re
from collections import Counter

import psycopg
import pytest
import yaml

from orchestration.observability.dashboards import MARTS, QUALITY
from orchestration.tests.support import MODELS, Dbt, insert_row
from orchestration.warehouse import docs
from orchestration.warehouse.settings import CHECKOUT

PROJECT = "forex_warehouse"
# What dbt itself passes to each generic test.
DBTS_OWN = {"model", "column_name"}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="module")
def manifest(server, target):
    """The manifest; beside it in `target`, what `make docs` makes of a built `pro`."""
    dbt = Dbt("pro", target)
    with psycopg.connect(server("data_lake", "loader")) as loader:
        insert_row(loader, "documented")
    dbt("run")
    dbt("docs", "generate", "--static")
    return json.loads((target / "manifest.json").read_text())


@pytest.fixture(scope="module")
def catalog(manifest, target):
    found = json.loads((target / "catalog.json").read_text())
    assert not found["errors"]
    return found["nodes"] | found["sources"]


@pytest.fixture(scope="module")
def dbts_page(manifest, target):
    return (target / "static_index.html").read_text()


def _own(nodes, *types):
    return {
        name: node
        for name, node in nodes.items()
        if node["package_name"] == PROJECT and (not types or node["resource_type"] in types)
    }


def test_everything_is_described(manifest):
    things = _own(manifest["nodes"], "model", "seed", "snapshot")
    for kind in ("sources", "exposures", "macros"):
        things |= _own(manifest[kind])
    things |= {
        name: node
        for name, node in _own(manifest["nodes"], "test").items()
        if not node.get("test_metadata")
    }
    assert len(things) > 60
    bare = [name for name, thing in things.items() if not thing["description"].strip()]
    for name, macro in _own(manifest["macros"]).items():
        given = DBTS_OWN if macro["name"].startswith("test_") else set()
        bare += [
            f"{name}({argument['name']})"
            for argument in macro["arguments"]
            if argument["name"] not in given and not argument["description"]
        ]
    assert not bare


def test_each_column_in_the_database_is_described(manifest, catalog):
    assert len(catalog) > 15
    for name, relation in catalog.items():
        told = (manifest["nodes"] | manifest["sources"])[name]["columns"]
        described = {column for column, text in told.items() if text["description"].strip()}
        assert described == set(relation["columns"]), name


def test_no_column_is_described_twice_in_other_words_than_a_doc_block(manifest):
    said = Counter(
        " ".join(block["block_contents"].split()) for block in _own(manifest["docs"]).values()
    )
    for file in (CHECKOUT / "models").rglob("*.yml"):
        content = yaml.safe_load(file.read_text())
        tables = [table for source in content.get("sources", []) for table in source["tables"]]
        for relation in [*content.get("models", []), *tables]:
            for column in relation.get("columns", []):
                if "doc(" not in column["description"]:
                    said[" ".join(column["description"].split())] += 1
    assert len(said) > 40
    assert [text for text, times in said.items() if times > 1] == []


def test_each_doc_block_is_used(manifest):
    texts = "".join(file.read_text() for file in (CHECKOUT / "models").rglob("*.yml"))
    blocks = {block["name"] for block in _own(manifest["docs"]).values()}
    assert blocks - set(re.findall(r"doc\('(\w+)'\)", texts)) == {"__overview__"}


def _ancestors(manifest, name):
    found = set()
    for parent in manifest["parent_map"][name]:
        found |= {parent} | _ancestors(manifest, parent)
    return found


def test_every_mart_comes_from_the_lake_and_has_a_reader(manifest):
    landing = f"source.{PROJECT}.forex.customer_transactions"
    exposures = manifest["exposures"].values()
    read = {parent for exposure in exposures for parent in exposure["depends_on"]["nodes"]}
    for mart in MODELS["data_marts"]:
        name = f"model.{PROJECT}.{mart}"
        assert landing in _ancestors(manifest, name)
        assert name in read


def test_every_model_has_a_consumer_and_a_colour(manifest):
    for name, model in _own(manifest["nodes"], "model").items():
        kinds = {child.split(".")[0] for child in manifest["child_map"][name]}
        assert kinds & {"model", "exposure"}, f"nothing reads {name}"
        assert model["fqn"][1] not in MODELS or model["config"]["docs"]["node_color"], name


@pytest.mark.parametrize(("name", "panels"), [("marts", MARTS), ("quality", QUALITY)])
def test_the_exposure_of_a_dashboard_names_what_it_reads(manifest, name, panels):
    queries = " ".join(
        query for panel in panels if panel.source == "pro" for query in panel.queries
    )
    exposure = manifest["exposures"][f"exposure.{PROJECT}.{name}_dashboard"]
    read = {node.split(".")[-1] for node in exposure["depends_on"]["nodes"]}
    assert set(re.findall(r"data_marts\.(\w+)", queries)) == read


def test_exposures_say_who_and_where(manifest):
    for exposure in manifest["exposures"].values():
        assert exposure["owner"]["email"]
        assert exposure["maturity"]
        assert exposure["url"].startswith("http://127.0.0.1:")


def test_the_catalog_has_types_rows_and_sizes(server, manifest, catalog):
    with psycopg.connect(server("pro", "postgres")) as pro:
        for schema in ("silver", "gold"):
            for model in MODELS[schema]:
                relation = catalog[f"model.{PROJECT}.{model}"]
                assert all(column["type"] for column in relation["columns"].values())
                stored = relation["metadata"]["type"] == "BASE TABLE"
                assert relation["stats"]["has_stats"]["value"] == stored, model
                if stored:
                    ((size,),) = pro.execute(
                        "select pg_total_relation_size(%s::regclass)", [f"{schema}.{model}"]
                    ).fetchall()
                    assert relation["stats"]["bytes"]["value"] == size
                    assert relation["stats"]["row_count"]["value"] >= 0
    assert catalog[f"model.{PROJECT}.transaction_fct"]["columns"]["price"]["type"] == "numeric"


def test_links_of_the_overview_lead_somewhere(manifest):
    overview = manifest["docs"][f"doc.{PROJECT}.__overview__"]["block_contents"]
    linked = set(re.findall(r"\(#!/(?:model|source)/([\w.]+)\)", overview))
    known = manifest["nodes"].keys() | manifest["sources"].keys()
    assert linked <= known
    models = {f"model.{PROJECT}.{model}" for models in MODELS.values() for model in models}
    assert models <= linked


def test_the_page_is_finished(manifest, dbts_page):
    """What is mended is there to be mended: another version of dbt may need other mends."""
    assert manifest["metadata"]["send_anonymous_usage_stats"] is False
    page = docs.finish(dbts_page)
    assert page.count(docs.POLICY) == 1
    for old, new in docs.REPLACED.items():
        assert old in dbts_page
        assert new in page
        assert old in new or old not in page
