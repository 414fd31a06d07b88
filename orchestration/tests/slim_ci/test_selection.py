"""Real edits, each with the exact set of nodes that it makes CI build: no more, and never fewer."""

import json

import pytest

from orchestration.slim_ci import build, state
from orchestration.tests.slim_ci.conftest import short
from orchestration.warehouse.errors import UserError

MARTS = {"agg_sales_country", "agg_sales_customer", "agg_sales_monthly"}
QUALITY = {"data_quality_check", "data_quality_daily", "data_quality_run"}
DIMS = {"customer_dim", "product_dim", "location_dim", "date_dim"}
AFTER_TRANSACTION = DIMS | {"superseded_transaction", "transaction_fct"}
SOURCE_TESTS = {
    "source_not_null_forex_customer_transactions_load_timestamp",
    "source_not_null_forex_customer_transactions_transaction_id",
}
LOADS = """
{{ config(materialized='table') }}

select
    source_file,
    '{{ var("label") }}' as label,
    {{ threshold() }} as threshold,
    '{{ env_var("WAREHOUSE_USER", "nobody") }}' as builder
from {{ source('forex', 'load_ledger') }}
left join {{ ref('country') }} on true
"""
LOADS_YAML = """
models:
  - name: loads
    columns:
      - name: source_file
        data_tests:
          - accepted_values:
              arguments:
                values: ["{{ var('expected_file') }}"]
"""


@pytest.fixture(scope="module")
def base(copied, tmp_path_factory):
    """The state: the project with a seed and variables, which it has none of, parsed for pro."""
    copied.write("seeds/country.csv", "code,name\nES,Spain\n")
    copied.write("seeds/country.yml", "seeds:\n  - name: country\n    description: Names.\n")
    copied.write(
        "macros/threshold.sql", "{% macro threshold() %}{{ var('limit') }}{% endmacro %}\n"
    )
    copied.write("models/bronze/loads.sql", LOADS)
    copied.write("models/bronze/loads.yml", LOADS_YAML)
    copied.append(
        "dbt_project.yml", "\nvars:\n  label: a\n  limit: 1\n  expected_file: x.csv\n  unused: 1\n"
    )
    copied.keep()
    artifacts = tmp_path_factory.mktemp("pro")
    parsed = build.Dbt(copied.folder, "pro", artifacts)
    folder = tmp_path_factory.mktemp("state")
    state.save(folder, artifacts, copied.folder)
    return Base(folder, parsed.manifest)


class Base:
    def __init__(self, folder, manifest):
        self.folder, self.manifest = folder, manifest
        self.nodes = {
            name: node
            for kind in ("nodes", "unit_tests")
            for name, node in manifest[kind].items()
            if node["resource_type"] != "operation"
        }

    def all(self):
        return {short(name) for name in self.nodes}

    def tests_of(self, *models):
        """Every test that looks at one of the models."""
        return {
            short(name)
            for name, node in self.nodes.items()
            if "test" in node["resource_type"]
            and {short(parent) for parent in node["depends_on"]["nodes"]} & set(models)
        }

    def with_descendants(self, *models):
        """The models, what is built on them, and every test that looks at one of those."""
        found = set(models)
        while (
            more := {
                node["name"]
                for node in self.nodes.values()
                if node["resource_type"] == "model"
                and {short(parent) for parent in node["depends_on"]["nodes"]} & found
            }
            - found
        ):
            found |= more
        return found | self.tests_of(*found)


def test_no_edit_selects_nothing(project, base):
    nodes, changes = project.select(base.folder)
    assert nodes == set()
    assert not changes.everything and not changes.removed


def test_the_environment_selects_nothing(project, base, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_USER", "somebody")
    monkeypatch.setenv("CI_SCHEMA_PREFIX", "ci_99")
    monkeypatch.setenv("DBT_THREADS", "1")
    monkeypatch.setenv("WAREHOUSE_HOST", "db.example.com")
    assert project.select(base.folder)[0] == set()


def test_the_sql_of_a_model(project, base):
    project.append("models/data_marts/agg_sales_country.sql", "\n-- touched\n")
    assert project.select(base.folder)[0] == {
        "agg_sales_country",
        "marts_agree_with_silver",  # its other parents are in pro
    }


@pytest.mark.parametrize(
    "name, old, users",
    [
        ("cleaning/parse_date.sql", "'69'", {"cleaned_transaction"}),
        ("keys/natural_keys.sql", "'customer_city', 'customer_country'", {"cleaned_transaction"}),
        # Called by a test as well, which is among those of its model.
        ("cleaning/clean_text.sql", "= '')", {"missing_quantity"}),
        # Called under is_incremental(), which dbt does not enter while it parses.
        ("incremental/affected_transactions.sql", "    union\n", AFTER_TRANSACTION),
        # Called in hooks.
        (
            "incremental/watermark.sql",
            "mark.version < excluded",
            {"missing_quantity", "cleaned_transaction"},
        ),
        ("gold/dimension_members.sql", "    -- An orphan", DIMS),
    ],
)
def test_a_macro_selects_all_its_users(project, base, name, old, users):
    project.replace(f"macros/{name}", old, f" {old}")
    nodes, changes = project.select(base.folder)
    assert not changes.everything
    assert nodes == base.with_descendants(*users)


@pytest.mark.parametrize(
    "name, old",
    [
        ("incremental/merge.sql", "when not matched"),
        ("naming/generate_schema_name.sql", "'public'"),
        ("run/build_lock.sql", "'app': 'dbt'"),
        ("run/build_lock.sql", "patience=1800"),
        ("deferral/window.sql", "relation.database ~ '_'"),
    ],
)
def test_a_macro_that_dbt_itself_calls_selects_everything(project, base, name, old):
    project.replace(f"macros/{name}", old, f" {old}")
    nodes, changes = project.select(base.folder)
    assert changes.everything
    assert nodes == base.all()


def test_a_macro_of_a_package(project, base):
    project.append("dbt_packages/dbt_utils/macros/generate_surrogate_key.sql", "\n")
    path = "dbt_packages/dbt_utils/macros/generate_surrogate_key.sql"
    project.replace(path, "{%- endmacro", " {%- endmacro")
    assert project.select(base.folder)[0] == base.with_descendants("cleaned_transaction")


def test_a_macro_that_nobody_calls_selects_nothing(project, base):
    project.write("macros/new.sql", "{% macro brand_new() %}1{% endmacro %}")
    assert project.select(base.folder)[0] == set()


def test_a_singular_test(project, base):
    project.append("tests/conservation.sql", "\n-- touched\n")
    assert project.select(base.folder)[0] == {"conservation"}


def test_an_argument_of_a_test(project, base):
    project.replace("models/gold/product_dim.yml", "regex: ^[0-9a-f]{32}$", "regex: ^[0-9a-f]+$")
    (test,) = project.select(base.folder)[0]
    assert test.startswith("dbt_expectations_expect_column_values_to_match_regex_product_dim")


def test_a_unit_test(project, base):
    project.replace("models/silver/_unit_tests.yml", "load_xid: 99", "load_xid: 98")
    assert project.select(base.folder)[0] == {"only_what_changed_is_cleaned"}


@pytest.mark.parametrize(
    "name, old",
    [
        ("models/data_marts/agg_sales_country.yml", "Sales by country."),
        ("models/_columns.md", "Number of sales."),
        ("models/bronze/_forex__sources.yml", "One row per load;"),
        ("macros/keys/_macros.yml", "made safe "),
        ("seeds/country.yml", "Names."),
    ],
)
def test_a_description_selects_nothing(project, base, name, old):
    text = (project.folder / name).read_text()
    project.write(name, text.replace(old, f"{old}New words ", 1))
    assert project.select(base.folder)[0] == set()


def test_a_column_of_a_source(project, base):
    project.replace(
        "models/bronze/_forex__sources.yml",
        "          - name: load_xid",
        "          - name: channel\n          - name: load_xid",
    )
    assert project.select(base.folder)[0] == SOURCE_TESTS | base.with_descendants(
        "customer_transactions"
    )


def test_the_landing_tables(project, base):
    project.replace(state.LANDING_FILE, "    source_line bigint,", "    source_line integer,")
    assert project.select(base.folder)[0] == SOURCE_TESTS | base.with_descendants(
        "customer_transactions", "loads", "data_quality_daily"
    )


def test_a_seed(project, base):
    project.append("seeds/country.csv", "PT,Portugal\n")
    assert project.select(base.folder)[0] == {"country"} | base.with_descendants("loads")


@pytest.mark.parametrize("variable", ["label: a", "limit: 1"])
def test_a_variable_selects_its_users(project, base, variable):
    """One is used by a model, the other by a macro that the model calls."""
    project.replace("dbt_project.yml", f"  {variable}\n", f"  {variable}1\n")
    nodes, changes = project.select(base.folder)
    assert not changes.everything
    assert nodes == base.with_descendants("loads")


def test_a_variable_in_yaml_selects_everything(project, base):
    project.replace("dbt_project.yml", "expected_file: x.csv", "expected_file: y.csv")
    nodes, changes = project.select(base.folder)
    assert changes.everything == ["variable expected_file, used in models/bronze/loads.yml"]
    assert len(nodes) == len(base.all())  # the test's name holds its argument


def test_a_variable_that_nobody_uses_selects_nothing(project, base):
    project.replace("dbt_project.yml", "unused: 1", "unused: 2")
    assert project.select(base.folder)[0] == set()


def test_a_variable_with_a_computed_name_is_not_missed(project, base, tmp_path):
    project.write(
        "macros/threshold.sql", "{% macro threshold() %}{{ var('li' ~ 'mit') }}{% endmacro %}"
    )
    artifacts = tmp_path / "pro"
    build.Dbt(project.folder, "pro", artifacts)
    state.save(tmp_path / "state", artifacts, project.folder)
    project.replace("dbt_project.yml", "limit: 1", "limit: 2")
    assert project.select(tmp_path / "state")[0] == base.with_descendants("loads")


def test_a_contract(project, base):
    project.replace(
        "models/data_marts/agg_sales_monthly.yml", "data_type: numeric", "data_type: numeric(20, 2)"
    )
    assert project.select(base.folder)[0] == base.with_descendants("agg_sales_monthly")


def test_the_configuration_of_a_folder(project, base):
    project.replace("dbt_project.yml", "+materialized: view", "+materialized: table")
    assert project.select(base.folder)[0] == base.with_descendants(*MARTS, *QUALITY)


@pytest.mark.parametrize(
    "old, new",
    [
        ("validate_macro_args: true", "validate_macro_args: false"),
        ('  - "{{ finish_run() }}"', '  - "select 1"'),
    ],
)
def test_a_setting_of_the_project_selects_everything(project, base, old, new):
    project.replace("dbt_project.yml", old, new)
    nodes, changes = project.select(base.folder)
    assert changes.everything
    assert nodes == base.all()


def test_a_model_is_deleted(project, base):
    project.write("models/data_marts/agg_sales_customer.sql", None)
    project.write("models/data_marts/agg_sales_customer.yml", None)
    reader = "      - ref('agg_sales_customer')\n"
    for after in ("      - ref('agg_sales_monthly')\n      - ref('data_quality_check')\n", ""):
        project.replace("models/data_marts/_exposures.yml", reader + after, after)
    project.replace(
        "tests/marts_agree_with_silver.sql", "ref('agg_sales_customer')", "ref('agg_sales_country')"
    )
    nodes, changes = project.select(base.folder)
    assert nodes == {"marts_agree_with_silver"}
    assert "model.forex_warehouse.agg_sales_customer" in changes.removed
    assert {short(node) for node in changes.removed} == {"agg_sales_customer"} | (
        base.tests_of("agg_sales_customer") - {"marts_agree_with_silver"}
    )


def test_a_model_is_added(project, base):
    project.write("models/silver/fresh.sql", "select * from {{ ref('transaction') }}\n")
    assert project.select(base.folder)[0] == {"fresh"}


def test_no_state_selects_everything(project, base, tmp_path):
    nodes, changes = project.select(tmp_path)
    assert nodes == base.all()
    assert changes.everything == ["there is no state to compare with"]


def test_a_state_without_the_project_file_selects_everything(project, base, tmp_path):
    (tmp_path / "manifest.json").write_text((base.folder / "manifest.json").read_text())
    nodes, changes = project.select(tmp_path)
    assert nodes == base.all()
    assert "variables cannot be compared" in changes.everything[0]


def test_a_state_of_another_target_is_refused(project, base, tmp_path):
    text = json.dumps(base.manifest).replace('"database": "pro"', '"database": "dev"')
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="not a build of pro"):
        project.select(tmp_path)


def test_the_build_s_own_artifacts_are_no_state(project, base):
    """dbt would compare the project with itself, select nothing, and be green."""
    with pytest.raises(UserError, match="own artifacts"):
        build.build("ci", project.folder / "target" / "slim_ci", project.folder)
