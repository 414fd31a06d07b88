"""Without a cluster nothing is different, and with one every model can run there."""

import re

import psycopg
import pytest

from orchestration.cluster import sshd
from orchestration.cluster.citus_workers import overlay
from orchestration.tests.support import Dbt, copy_checkout, insert_row
from orchestration.warehouse.settings import CHECKOUT

# What a run writes into its SQL: times, marks, its own id.
OF_THE_RUN = re.compile(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^']*'|'\d+'::bigint|'[0-9a-f-]{36}'")
OF_A_TABLE = re.compile(r"__dbt_tmp\d*")  # that is made beside the one there is
IDIOMS = {
    "evaluated once per shard": r"\b(now|clock_timestamp|random)\(|current_timestamp",
    "keeps a subquery from the shards": r"\boffset\b|\blimit\b",
    "cannot be planned across shards": r"\bnot exists\b|\brollup\b|\bgrouping sets\b|\bcube\b",
}


def _without_citus(folder):
    """Take everything that is there for Citus out of a copy of the checkout."""
    for macro in (folder / "macros/citus").glob("*.sql"):
        macro.unlink()
    (folder / "macros/citus/_macros.yml").unlink()
    for path in (
        *(folder / "models").rglob("*.*"),
        folder / "dbt_project.yml",
        folder / "macros/gold/dimension_members.sql",
        folder / "macros/incremental/create_index.sql",
        folder / "macros/incremental/merge.sql",
        folder / "macros/incremental/watermark.sql",
    ):
        text = path.read_text()
        text = re.sub(r"    config:\n      meta:\n        citus: .*\n", "", text)
        text = re.sub(r"matching\((ref\('\w+'\)|this)[^)]*\)", r"\1", text)
        text = re.sub(r" *\{%- if spread\(\) -%\}\n.*\n *\{%- endif -%\}\n", "", text)
        text = re.sub(r"    \+post-hook: .*forget_rows.*\n", "", text)
        path.write_text(re.sub(r"\n *\{\{- settle\(\) \}\}", "", text))


def _run_sql(folder):
    return {
        str(path.relative_to(folder)): OF_A_TABLE.sub("", OF_THE_RUN.sub("…", path.read_text()))
        for kind in ("compiled", "run")
        for path in (folder / kind).rglob("*.sql")
    }


def _play(server, project, folder):
    """The SQL of a first build and of an increment."""
    with psycopg.connect(server("data_lake", "loader"), autocommit=True) as loader:
        dbt = Dbt("dev", folder, project)
        dbt("build", "--full-refresh", "--exclude", "test_type:unit")
        first = _run_sql(folder)
        insert_row(loader, folder.name)
        dbt("build", "--exclude", "test_type:unit")
    return first, _run_sql(folder)


def test_without_a_cluster_the_sql_is_what_it_would_be(server, lake, tmp_path):
    plain = copy_checkout(tmp_path / "plain")
    _without_citus(plain)
    (plain / "dbt_packages").symlink_to(CHECKOUT / "dbt_packages")
    ours, theirs = (
        _play(server, project, tmp_path / project.name) for project in (CHECKOUT, plain)
    )
    for left, right in zip(ours, theirs, strict=True):
        assert len(left) > 80
        assert left.keys() == right.keys()
        for name, sql in left.items():
            assert sql == right[name], name


@pytest.mark.parametrize("why", IDIOMS)
def test_models_keep_to_what_a_cluster_runs(server, tmp_path, why):
    dbt = Dbt("dev", tmp_path)
    for options in ([], ["--full-refresh"]):
        dbt("compile", *options)
        models = list((tmp_path / "compiled/forex_warehouse/models").glob("*/*.sql"))
        assert len(models) == len(list((CHECKOUT / "models").glob("*/*.sql")))
        for path in models:
            code = re.sub(r"--.*|'(?:[^']|'')*'", "", path.read_text())
            assert not re.search(IDIOMS[why], code), f"{path.name}: {why}"


def test_what_dbt_is_told_reaches_its_sessions(tmp_path, monkeypatch):
    """dbt runs behind sshd, whose sessions get no more of the environment than they are given."""
    told = overlay(3)["services"]["dbt"]["environment"]
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "key").touch()
    configuration = sshd.configure(
        tmp_path, "127.0.0.1", 2222, tmp_path / "key", tmp_path / "key"
    ).read_text()
    for name, value in told.items():
        assert f'"{name}={value}"' in configuration


def test_every_table_says_how_it_is_spread(tmp_path):
    """What says nothing would stay on the coordinator, and a slip of the pen makes a reference."""
    models = [
        node
        for node in Dbt("dev", tmp_path).manifest.nodes.values()
        if node.resource_type == "model" and node.config.materialized != "view"
    ]
    names = {node.name for node in models}
    assert len(names) == 9
    for node in models:
        said = dict(node.config.meta.get("citus", {}))
        if said != {"reference": True}:
            assert said.pop("distribute_by", None) in node.columns, node.name
            assert {said.pop("colocate_with", node.name)} <= names, node.name
            assert said == {}, node.name
