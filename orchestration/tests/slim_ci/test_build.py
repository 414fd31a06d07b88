"""Builds of changes on a real server: what they read, what they write, and how they fail."""

import hashlib
import os
import subprocess
import sys

import psycopg
import pytest

from orchestration.slim_ci import build, schemas, state
from orchestration.tests.support import contents, load, write_csv
from orchestration.warehouse import scratch
from orchestration.warehouse.errors import UserError
from orchestration.warehouse.settings import CHECKOUT

PREFIX = "ci_7"
COUNTRY = "models/data_marts/agg_sales_country.sql"


MODELS = {
    "amount_v1.sql": "select 1 as amount",
    "amount_v2.sql": "select 2 as amount",
    "amount.yml": """
models:
  - name: amount
    latest_version: 2
    versions: [{v: 1}, {v: 2}]
""",
    "passing.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('transaction') }}",
}
READER = """
{{ config(materialized='table') }}

with passing as (select * from {{ ref('passing') }}),
latest as (select * from {{ ref('amount') }}),
first as (select * from {{ ref('amount', v=1) }}),
second as (select * from {{ ref('forex_warehouse', 'amount', version=2) }}),
loads as (select * from {{ source('forex', 'load_ledger') }})

select latest.amount as latest, first.amount as first, second.amount as second, loads.source_file
from passing cross join latest cross join first cross join second cross join loads
"""


@pytest.fixture(scope="module")
def pro(server, copied, tmp_path_factory):
    """A lake of some rows, `pro` built from it, and the state that this leaves."""
    for name, text in MODELS.items():
        copied.write(f"models/bronze/{name}", text)
    copied.keep()
    folder = tmp_path_factory.mktemp("pro")
    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as lake:
        lake.execute("truncate forex.customer_transactions, forex.load_ledger cascade")
        # Far ahead of another server's transaction numbers, so that none passes for one of there.
        lake.execute(
            "do $$ begin for i in 1..20000 loop"
            " perform pg_current_xact_id(); commit; end loop; end $$"
        )
    rows = [{"transaction_id": str(n), "customer_email": f"{n % 7}@x"} for n in range(20)]
    rows += [{"transaction_id": "late", "price": "?"}, {"transaction_id": "none", "quantity": ""}]
    load(write_csv(folder / "rows.csv", rows))
    assert build.Dbt(copied.folder, "pro", folder / "target")("build", "--full-refresh").success
    state.save(folder / "state", folder / "target", copied.folder)
    state.dump(folder / "state")
    return folder / "state"


@pytest.fixture
def slim(project, pro, monkeypatch):
    """Build the project as pull request 7 would."""
    monkeypatch.setenv("CI_SCHEMA_PREFIX", PREFIX)

    def run(target="ci", folder=pro, **environment):
        build = "from pathlib import Path; from orchestration.slim_ci.build import build; "
        done = subprocess.run(
            [sys.executable, "-c", f"{build} exit(build({target!r}, Path({str(folder)!r})))"],
            cwd=project.folder,
            env=os.environ | {"PYTHONPATH": str(project.folder), "NO_COLOR": "1"} | environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def _relations(connection):
    """Every relation of a database, with what tells whether somebody wrote it."""
    found = connection.execute(
        "select nspname, relname, pg_class.oid, relfilenode, relkind from pg_class"
        " inner join pg_namespace on relnamespace = pg_namespace.oid"
        " where nspname !~ '^pg_' and nspname <> 'information_schema'"
    ).fetchall()
    written = {}
    for schema, name, oid, file, kind in found:
        digest = ""
        if kind == "r":
            rows = connection.execute(
                f'select t::text from "{schema}"."{name}" t order by 1'
            ).fetchall()
            digest = hashlib.sha256(repr(rows).encode()).hexdigest()
        written[schema, name] = (oid, file, digest)
    return written


def test_one_model_reads_pro_and_writes_its_own_schema_only(server, project, slim):
    project.append(COUNTRY, "\n-- touched\n")
    assert slim()[0] == 0  # brings the window up to date, which the next builds find so
    schemas.drop(PREFIX)

    databases = ("data_lake", "dev", "pro")
    with (
        psycopg.connect(server(databases[0], "postgres"), autocommit=True) as lake,
        psycopg.connect(server(databases[1], "postgres"), autocommit=True) as dev,
        psycopg.connect(server(databases[2], "postgres"), autocommit=True) as warehouse,
    ):
        everywhere = (lake, dev, warehouse)
        before = [_relations(database) for database in everywhere]
        code, output = slim()
        after = [_relations(database) for database in everywhere]
    assert code == 0, output
    assert "1 model built, 1 test passed" in output
    assert "2 of " in output
    own = {name for name in after[1] if name[0].startswith(f"{PREFIX}_")}
    assert {name for name in own if name[0] == f"{PREFIX}_data_marts"} == {
        (f"{PREFIX}_data_marts", "agg_sales_country")
    }
    assert {schema for schema, _ in own} == {f"{PREFIX}_data_marts", f"{PREFIX}_audit"}
    after[1] = {name: found for name, found in after[1].items() if name not in own}
    assert after == before

    compiled = project.folder / f"target/slim_ci/compiled/forex_warehouse/{COUNTRY}"
    assert '"dev"."pro_gold"."transaction_fct"' in compiled.read_text()
    with (
        psycopg.connect(server("dev", "dbt_ci")) as dev,
        psycopg.connect(server("pro", "dbt_ci")) as there,
    ):
        query = "select * from {}data_marts.agg_sales_country order by 1"
        assert (
            dev.execute(query.format(f"{PREFIX}_")).fetchall()
            == there.execute(query.format("")).fetchall()
            != []
        )


def test_without_pro_the_build_fails_and_says_why(server, project, slim):
    project.append(COUNTRY, "\n-- touched\n")
    with psycopg.connect(server("dev", "postgres"), autocommit=True) as admin:
        admin.execute("alter database pro allow_connections false")
        try:
            code, output = slim()
        finally:
            admin.execute("alter database pro allow_connections true")
    assert code == 1
    assert "pro cannot be reached, and this build reads its unchanged parents from there" in output
    assert "## Slim CI: failed" in output


def test_a_chain_of_models(server, project, slim):
    """Incremental models, their unit and relationship tests, on a parent in pro."""
    project.append("models/silver/transaction.sql", "\n-- touched\n")
    code, output = slim()
    assert code == 0, output
    assert "incremental models wrote no row" in output
    with (
        psycopg.connect(server("dev", "dbt_ci")) as dev,
        psycopg.connect(server("pro", "dbt_ci")) as there,
    ):
        for mart in ("gold.transaction_fct", "gold.customer_dim", "data_marts.agg_sales_customer"):
            query = f"select to_jsonb(rows) - 'changed_at' from {{}}{mart} as rows order by 1"
            assert (
                dev.execute(query.format(f"{PREFIX}_")).fetchall()
                == there.execute(query.format("")).fetchall()
            )


def test_an_increment_that_rewrites_rows_fails(project, slim):
    project.replace(
        "models/gold/date_dim.sql",
        "    from member\n",
        "    from member\n    where random() < 0 or true\n",
    )
    project.replace(
        "models/gold/date_dim.sql",
        "extract(week from transaction_date)::integer as iso_week",
        "(random() * 50)::integer + 1 as iso_week",
    )
    code, output = slim()
    assert code == 1
    assert "`date_dim` is not idempotent" in output


def test_a_test_whose_other_parents_are_in_pro_runs(project, slim):
    project.replace(
        COUNTRY, "sum(sale.quantity * sale.price)", "sum(sale.quantity * sale.price * 2)"
    )
    code, output = slim()
    assert code == 1
    assert "`marts_agree_with_silver` failed" in output


def test_what_an_unchanged_model_guarantees_is_read_through_the_window(project, slim):
    """There an index or a constraint cannot be looked up."""
    yaml = "models/gold/transaction_fct.yml"
    column = "        description: \"{{ doc('quantity') }}\"\n"
    tests = "        data_tests:\n          - guaranteed_not_null\n          - guaranteed_unique\n"
    project.replace(yaml, column, column + tests)
    code, output = slim()
    assert code == 1
    for test in ("guaranteed_not_null", "guaranteed_unique"):
        assert f"`{test}_transaction_fct_quantity` failed" in output
    project.reset()
    column = "        description: \"{{ doc('price') }}\"\n"
    project.replace(yaml, column, column + tests.replace("          - guaranteed_unique\n", ""))
    code, output = slim()
    assert code == 0, output
    assert "guaranteed_not_null_transaction_fct_price" in output


def test_without_a_state_everything_is_built_and_it_says_so(project, slim, tmp_path):
    code, output = slim(folder=tmp_path)
    assert code == 0, output
    assert "there is no state to compare with" in output
    assert "20 models built" in output


def test_nothing_changed_builds_nothing_and_says_so(project, slim, tmp_path):
    summary = tmp_path / "summary.md"
    code, output = slim(GITHUB_STEP_SUMMARY=str(summary))
    assert code == 0, output
    assert "nothing to build" in summary.read_text()


def test_the_window_follows_pro(server, project, slim):
    """A new column, a retyped one, a relation that goes: what did not change is not touched."""

    def oids(dev):
        return dict(
            dev.execute(
                "select ftrelid::regclass::text, ftrelid from pg_foreign_table"
                " where ftrelid::regclass::text like 'pro\\_%'"
            ).fetchall()
        )

    with (
        psycopg.connect(server("pro", "dbt_pro"), autocommit=True) as pro,
        psycopg.connect(server("dev", "dbt_ci"), autocommit=True) as dev,
    ):
        pro.execute("create schema extra create table one (a int, b int) create table two (a int)")
        dev.execute("call deferral.refresh()")
        dev.execute("create schema ci_window create view seen as select a from pro_extra.one")
        before = oids(dev)
        pro.execute("alter table extra.one add column c numeric(10, 2)")
        pro.execute("alter table extra.two alter a type text")
        dev.execute("call deferral.refresh()")
        after = oids(dev)
        assert {name for name in before if before[name] != after[name]} == {"pro_extra.two"}
        assert dev.execute("select * from ci_window.seen").fetchall() == []
        dev.execute("select c from pro_extra.one")
        types = dev.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attnum > 0 and"
            " attrelid = any(array['pro_extra.one', 'pro_extra.two']::regclass[]) order by 1"
        ).fetchall()
        assert [name for (name,) in types] == ["integer", "integer", "numeric(10,2)", "text"]
        pro.execute("drop schema extra cascade")
        dev.execute("call deferral.refresh()")
        assert not {name for name in oids(dev) if "extra" in name}
        dev.execute("drop schema ci_window")


def test_every_kind_of_ref(server, project, slim, pro, tmp_path):
    """Versions, packages, ephemeral parents, sources; and --empty, which must reach the window."""
    project.write("models/bronze/reader.sql", READER)
    code, output = slim()
    assert code == 0, output
    query = f"select distinct latest, first, second, source_file from {PREFIX}_bronze.reader"
    with psycopg.connect(server("dev", "dbt_ci"), autocommit=True) as dev:
        assert dev.execute(query).fetchall() == [(2, 1, 2, "rows.csv")]
        dbt = build.Dbt(project.folder, "ci", tmp_path)
        deferred = ("--defer", "--favor-state", "--state", str(pro))
        assert dbt("run", "--empty", "--select", "reader", *deferred).success
        assert dev.execute(query).fetchall() == []


@pytest.mark.parametrize("role", ["analyst", "dbt_ci"])
@pytest.mark.parametrize(
    "statement",
    [
        "delete from pro_gold.transaction_fct",
        "create foreign table ci_x (n int) server pro",
        "create table pro_gold.mine (n int)",
        "drop foreign table pro_gold.transaction_fct",
    ],
)
def test_the_window_is_read_only(server, pro, role, statement):
    with psycopg.connect(server("dev", role), autocommit=True) as dev:
        dev.execute("call deferral.refresh()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            dev.execute(statement)


def test_deferral_asks_pro_how_far_it_has_read_the_lake(server, project, slim):
    """A row that pro should have and has not is found by a build that takes pro's word for it."""
    project.append("models/silver/superseded_transaction.sql", "\n-- touched\n")
    with psycopg.connect(server("data_lake", "postgres"), autocommit=True) as lake:
        lake.execute(
            "insert into forex.customer_transactions (transaction_id, load_xid) values ('lost', 1)"
        )
        try:
            code, output = slim()
        finally:
            lake.execute("delete from forex.customer_transactions where transaction_id = 'lost'")
    assert code == 1
    assert "`conservation` failed" in output


def test_an_analyst_goes_on_where_a_deferred_run_ended(server, project, pro, tmp_path):
    """A changed model built on an older pro, then a plain build: the same as a full refresh."""
    more = [
        {"transaction_id": "1", "customer_email": "new@x"},
        {"transaction_id": "late", "price": "5"},
        {"transaction_id": "21", "customer_country": "Peru"},
    ]
    load(write_csv(tmp_path / "more.csv", more))
    before = build.Dbt(project.folder, "dev", tmp_path / "before")
    assert before("build", "--full-refresh").success
    project.replace(
        "models/silver/transaction.sql", "        price,\n", "        price * 2 as price,\n"
    )
    after = build.Dbt(project.folder, "dev", tmp_path / "after")
    alone = ("--full-refresh", "--select", "transaction")
    assert after("run", *alone, "--defer", "--favor-state", "--state", str(pro)).success
    assert after("build").success
    with psycopg.connect(server("dev", "analyst"), autocommit=True) as reader:
        increment = contents(reader, "analyst_")
        assert after("run", "--full-refresh").success
        assert increment == contents(reader, "analyst_")


def test_a_dump_makes_another_server_pro(project, slim, pro):
    project.append("models/silver/superseded_transaction.sql", "\n-- touched\n")
    with scratch.server() as other:
        restored = subprocess.run(
            [sys.executable, "-m", "orchestration.slim_ci.state", "restore", str(pro)],
            cwd=CHECKOUT,
            env=other,
            capture_output=True,
            text=True,
        )
        assert restored.returncode == 0, restored.stderr
        code, output = slim(**other)
        assert code == 0, output
        assert "| superseded_transaction |" in output
        # The rows count as read, and what is loaded here from now on does not.
        with psycopg.connect(
            f"host=127.0.0.1 port={other['WAREHOUSE_PORT']} dbname=pro user=dbt_ci"
            f" passfile={other['PGPASSFILE']}"
        ) as there:
            found = there.execute(
                "select count(*), min(lake_horizon) <= min(low_water_mark)"
                " from data_lake.customer_transactions, audit.watermark, data_lake.read_horizon"
                " where load_xid < lake_horizon and model = 'cleaned_transaction'"
            ).fetchone()
    assert found == (22, True)


@pytest.mark.parametrize(
    "prefix", ["analyst", "pro", "ci", "ci_", "ci_7_silver", "ci_%", "CI_7", ""]
)
def test_only_a_pull_request_s_schemas_are_dropped(server, prefix):
    with pytest.raises(UserError, match="only ci_"):
        schemas.drop(prefix)


def test_the_schemas_of_another_pull_request_stay(server):
    with psycopg.connect(server("dev", "dbt_ci"), autocommit=True) as dev:
        for schema in ("ci_1_gold", "ci_12_gold", "ci_1"):
            dev.execute(f"create schema {schema}")
        assert schemas.drop("ci_1") == ["ci_1_gold"]
        for schema in ("ci_12_gold", "ci_1"):
            dev.execute(f"drop schema {schema}")
