"""The commands of the README, word for word, in a copy of the checkout with a home of its own."""

import socket
import subprocess
from contextlib import contextmanager

import psycopg
import pytest

from orchestration.tests.end_to_end.clone import Clone
from orchestration.tests.support import write_csv

SAMPLE_ROWS = 250


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy in which `make run` has been run once."""
    made = Clone(tmp_path_factory.mktemp("end_to_end"))
    first = made.run("make", "run")
    assert first.returncode == 0, first.stdout + first.stderr
    made.first_output = first.stdout
    yield made
    made.run("make", "stop")


def _one_line(outcome: subprocess.CompletedProcess[str]) -> str:
    assert outcome.returncode != 0, outcome.stdout
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, outcome.stderr
    return lines[0]


def test_the_first_run_builds_and_reports(clone):
    assert f"transaction              {SAMPLE_ROWS}" in clone.first_output
    assert "Total revenue" in clone.first_output
    with psycopg.connect(clone.dsn("dev")) as analyst:
        (marts, facts) = analyst.execute(
            "select (select sum(revenue) from analyst_data_marts.agg_sales_country),"
            " (select sum(quantity * price) from analyst_gold.transaction_fct)"
        ).fetchone()
    assert marts == facts > 0


def test_nothing_is_written_outside_the_checkout(clone):
    assert list(clone.home.iterdir()) == []


def test_the_second_run_says_that_nothing_changed(clone):
    second = clone.run("make", "run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Nothing changed" in second.stdout
    assert "Nothing changed" not in clone.first_output


def test_dbt_by_hand(clone):
    built = clone.run(".venv/bin/dbt", "build", "--target", "dev", "--profiles-dir", "profiles")
    assert built.returncode == 0, built.stdout
    with psycopg.connect(clone.dsn("dev")) as analyst:
        schemas = analyst.execute(
            "select nspname from pg_namespace where nspname like 'analyst%' order by 1"
        ).fetchall()
    assert {name for (name,) in schemas} >= {
        "analyst_bronze",
        "analyst_silver",
        "analyst_gold",
        "analyst_data_marts",
    }


def test_pro_equals_dev_and_a_second_build_changes_nothing(clone):
    """Land, build dev, build pro, land again, build again, compare."""

    def marts(database, prefix):
        with psycopg.connect(clone.dsn(database)) as reader:
            return [
                reader.execute(
                    f"select * from {prefix}data_marts.{mart} order by 1, 2, 3"
                ).fetchall()
                for mart in ("agg_sales_country", "agg_sales_customer", "agg_sales_monthly")
            ]

    for _ in range(2):
        outcome = clone.run("make", "run", "TARGET=pro")
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert marts("pro", "") == marts("dev", "analyst_")
    assert "Nothing changed" in outcome.stdout


@contextmanager
def _touched(clone):
    """A mart whose SQL differs from what `pro` was built of."""
    model = clone.folder / "models/data_marts/agg_sales_country.sql"
    original = model.read_text()
    model.write_text(f"{original}\n-- touched\n")
    yield
    model.write_text(original)


def test_slim_ci_builds_what_differs(clone):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "Base"]):
        assert clone.run("git", *command).returncode == 0
    with _touched(clone):
        outcome = clone.run("make", "slim-ci", "BASE=HEAD")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "## Slim CI: 1 model built, 1 test passed" in outcome.stdout


def test_slim_ci_from_nowhere_is_one_line(clone):
    assert "BASE=" in _one_line(clone.run("make", "slim-ci", "BASE=no-such-revision"))


def test_dev_slim_builds_what_differs_from_pro(clone):
    """The state is what `make run TARGET=pro` left."""
    with _touched(clone):
        outcome = clone.run("make", "dev-slim")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "## Slim CI: 1 model built, 1 test passed" in outcome.stdout


def test_the_steps_of_the_workflows(clone):
    """Publish a state as main does; restore and use it on another server as a pull request does."""
    assert clone.run("make", "ci-state").returncode == 0
    folder = clone.folder / ".server-ci"
    assert clone.run("make", "server", WAREHOUSE_FOLDER=str(folder)).returncode == 0
    admin = next(
        line for line in (folder / "pgpass").read_text().splitlines() if "postgres" in line
    )
    # As the workflow leads to its service container.
    service = {
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": (folder / "port").read_text().strip(),
        "WAREHOUSE_ADMIN_PASSWORD": admin.rsplit(":", 1)[1],
        "WAREHOUSE_PASSFILE": str(clone.folder / ".ci-pgpass"),
        "PGPASSWORD": "",
        "CI_SCHEMA_PREFIX": "ci_7",
    }
    steps = {
        "ci-pro": "",
        "ci-build": "## Slim CI: 1 model built, 1 test passed",
        "ci-drop": "dropped: ci_7_audit, ci_7_data_marts",
    }
    try:
        with _touched(clone):
            for target, told in steps.items():
                outcome = clone.run("make", target, **service)
                assert outcome.returncode == 0, outcome.stdout + outcome.stderr
                assert told in outcome.stdout
    finally:
        clone.run("make", "stop", WAREHOUSE_FOLDER=str(folder))


def test_a_wrong_path_is_one_line(clone):
    line = _one_line(clone.run("make", "run", "SOURCE=no/such.csv"))
    assert "no/such.csv" in line


def test_a_wrong_target_is_one_line(clone):
    assert "TARGET" in _one_line(clone.run("make", "run", "TARGET=production"))


def test_a_wrong_database_is_one_line(clone):
    assert "DB" in _one_line(clone.run("make", "-s", "dsn", "DB=lake"))


def test_a_refused_header_is_one_line(clone):
    bad = clone.folder / "bad.csv"
    bad.write_text("transaction_id,nonsense\n1,2\n")
    line = _one_line(clone.run("make", "run", f"SOURCE={bad}"))
    assert "nonsense" in line and "bad.csv" in line


def test_a_refused_file_does_not_hold_up_the_others(clone):
    folder = clone.folder / "files"
    folder.mkdir()
    (folder / "bad.csv").write_text("transaction_id,nonsense\n1,2\n")
    write_csv(folder / "good.csv", [{"transaction_id": "refusal", "customer_city": "Soria"}])
    done = clone.run("make", "run", f"SOURCE={folder}")
    assert done.returncode != 0
    assert "nonsense" in done.stderr
    assert "not every file" in done.stderr.strip().splitlines()[-2]  # the last is make's own
    assert "good.csv" in (clone.folder / "target/report.html").read_text()


def test_a_taken_port_is_one_line(clone):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = _one_line(clone.run("make", "run", f"WAREHOUSE_PORT={port}"))
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert clone.run("make", "server").returncode == 0


def test_a_stopped_server_is_one_line(clone):
    assert clone.run("make", "stop").returncode == 0
    assert "make server" in _one_line(clone.run("make", "-s", "dsn", "DB=dev"))
    assert clone.run("make", "server").returncode == 0


def test_an_unreachable_registry_is_one_line(tmp_path):
    made = Clone(tmp_path)
    (made.folder / ".cache/uv").unlink()
    nowhere = "http://127.0.0.1:9/simple"
    line = _one_line(
        made.run(
            "make",
            "setup",
            **{
                "PIP_INDEX_URL": nowhere,
                "PIP_RETRIES": "0",
                "PIP_NO_INDEX": "",
                "UV_INDEX_URL": nowhere,
            },
            PIP_CONFIG_FILE="/dev/null",
            PIP_FIND_LINKS="",
        )
    )
    assert "registry" in line
