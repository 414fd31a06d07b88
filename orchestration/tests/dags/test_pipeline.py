"""The hourly DAG, run whole: files in, marts in `pro` out, over a real sshd."""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from orchestration.loader.layout import COLUMNS
from orchestration.tests.support import write_csv
from orchestration.warehouse import docs
from orchestration.warehouse.settings import CHECKOUT

HOURLY = "forex__customer_transactions__hourly"
DBT = "deps|build"
SAMPLE = CHECKOUT / "orchestration/sample/customer_transactions.csv"
ENDS_WITHIN_SECONDS = 20


def _states(run, task):
    return [found["state"] for found in run["tasks"] if found["task"] == task]


@pytest.fixture(scope="module")
def first_run(platform):
    shutil.copy(SAMPLE, platform.landing / "sample.csv")
    run = platform.run(HOURLY)
    assert run["state"] == "success", run["log"][-4000:]
    return run


def test_a_file_becomes_marts(platform, first_run):
    ((read, landed),) = platform.rows(
        "data_lake",
        "select rows_read, rows_inserted + rows_superseded + rows_rejected"
        " from forex.load_ledger where source_file = 'sample.csv' and finished_at is not null",
    )
    assert read == landed > 0
    ((lake,),) = platform.rows("data_lake", "select count(*) from forex.customer_transactions")
    ((warehouse,),) = platform.rows(
        "pro",
        "select (select count(*) from silver.transaction)"
        " + (select count(*) from silver.rejected_transaction)"
        " + (select count(*) from silver.superseded_transaction)",
    )
    assert lake == warehouse > 0
    ((revenue,),) = platform.rows("pro", "select sum(revenue) from data_marts.agg_sales_country")
    assert revenue > 0


def test_the_tasks_pass_no_row(first_run):
    passed = json.dumps(first_run["passed"])
    emails = {word for word in SAMPLE.read_text().replace(",", " ").split() if "@" in word}
    assert emails
    assert not [email for email in emails if email in passed]


def test_mapped_tasks_are_named(first_run):
    labels = {task["label"] for task in first_run["tasks"] if task["task"] == "load"}
    assert labels == {f"chunk {number} of 6" for number in range(1, 7)}
    labels = {task["label"] for task in first_run["tasks"] if task["task"] == "extract"}
    assert labels == {"sample.csv from line 2"}


def test_the_log_tells_what_was_done(first_run):
    assert "- sample.csv: " in first_run["log"]
    assert "- transaction_fct: success" in first_run["log"]


def test_a_known_file_is_not_loaded_again(platform, first_run):
    loads = platform.rows("data_lake", "select count(*) from forex.load_ledger")
    again = platform.run(HOURLY, DBT)
    assert again["state"] == "success", again["log"][-4000:]
    assert _states(again, "load") == ["skipped"]
    assert platform.rows("data_lake", "select count(*) from forex.load_ledger") == loads
    assert list(platform.staging.iterdir()) == []


def test_files_of_one_run_keep_their_order_and_a_bad_one_is_told(platform, first_run):
    row = {"transaction_id": "order-1", "customer_email": "order@example.com"}
    for number, price in enumerate(("1.00", "2.00", "3.00")):
        # Named against the order of arrival.
        others = [{"transaction_id": f"{price}-{n}"} for n in range(20)]
        file = write_csv(platform.landing / f"{9 - number}.csv", [row | {"price": price}, *others])
        arrived = 1_700_000_000 + number
        shutil.os.utime(file, (arrived, arrived))
    (platform.landing / "bad.csv").write_text("transaction_id,surprise\n1,2\n")
    try:
        run = platform.run(HOURLY, DBT)
    finally:
        (platform.landing / "bad.csv").unlink()
    assert run["state"] == "failed"
    assert _states(run, "refuse") == ["failed"]
    assert _states(run, "build") == ["success"]
    assert "'surprise'" in run["log"]
    landed = platform.rows(
        "data_lake",
        "select price, source_file from forex.customer_transactions"
        " where transaction_id = 'order-1'",
    )
    assert landed == [("3.00", "7.csv")]


def test_object_storage_instead_of_a_shared_volume(platform, first_run):
    remote = platform.folder / "bucket"
    (remote / "in").mkdir(parents=True)
    write_csv(remote / "in/remote.csv", [{"transaction_id": f"remote-{n}"} for n in range(30)])
    with (remote / "in/remote.csv").open("a") as file:
        file.write("too,few\n")
    # `local:` is read through the layer that s3: and gs: are read through, never as a path.
    run = platform.run(
        HOURLY,
        DBT,
        AIRFLOW_VAR_FOREX_LANDING=f"local://{remote}/in",
        AIRFLOW_VAR_FOREX_STAGING=f"local://{remote}/staging",
    )
    assert run["state"] == "success", run["log"][-4000:]
    counts = platform.rows(
        "data_lake",
        "select rows_inserted, rows_rejected from forex.load_ledger"
        " where source_file = 'remote.csv'",
    )
    assert counts == [(30, 1)]
    assert list((remote / "staging").iterdir()) == []


def test_a_failed_load_is_cleaned_up_and_succeeds_the_next_time(platform, first_run):
    write_csv(platform.landing / "late.csv", [{"transaction_id": f"late-{n}"} for n in range(30)])
    with platform.connect("data_lake", "postgres") as admin:
        admin.execute("revoke insert on forex.load_chunk from loader")
        run = platform.run(HOURLY, DBT)
        admin.execute("grant insert on forex.load_chunk to loader")
    assert run["state"] == "failed"
    assert "failed" in _states(run, "load")
    assert _states(run, "build") == ["upstream_failed"]
    assert _states(run, "remove_folder") == ["success"]
    assert list(platform.staging.iterdir()) == []
    again = platform.run(HOURLY, DBT)
    assert again["state"] == "success", again["log"][-4000:]
    counts = platform.rows(
        "data_lake",
        "select count(*) from forex.customer_transactions where source_file = 'late.csv'",
    )
    assert counts == [(30,)]


def test_a_failed_model_is_named(platform, first_run):
    with platform.connect("pro", "postgres") as admin:
        # dbt may not write the table any more.
        admin.execute("alter table gold.product_dim owner to postgres")
        run = platform.run(HOURLY, "deps")
        admin.execute("alter table gold.product_dim owner to dbt_pro")
    assert run["state"] == "failed"
    assert _states(run, "build") == ["failed"]
    reason = run["log"].split("DbtError: ", 1)[1][:300]
    assert "failed in" in reason
    assert "product_dim" in reason


def test_the_pages_are_published_and_stand_alone(platform, first_run):
    for command in (
        *("dbt source freshness --target pro", "dbt build --target pro"),
        *("dbt test --target pro", "report"),
        *("dbt docs generate --target pro", "publish"),
    ):
        done = subprocess.run(platform.ssh(command), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    published = Path(platform.environment["DBT_PUBLISH_PATH"])
    assert docs.POLICY in (published / "static_index.html").read_text()
    report = (published / "report.html").read_text()
    # Models of the build, tests of the command after it.
    assert '<td class="text">transaction_fct</td>' in report
    assert "Slowest tests" in report
    assert "Freshness" in report


@pytest.mark.parametrize(
    "command",
    ["", "sh", "dbt build", "dbt build --target pro; id", "dbt run-operation x", "dbt deps\nid"],
)
def test_other_commands_are_refused(platform, command):
    done = subprocess.run(platform.ssh(command), capture_output=True, text=True)
    assert done.returncode == 126, done.stderr
    assert "is not permitted" in done.stderr
    assert done.stdout == ""


def test_another_key_is_refused(platform):
    done = subprocess.run(platform.ssh("dbt deps", key="other_key"), capture_output=True, text=True)
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


LOG_IN = """
from airflow.providers.ssh.hooks.ssh import SSHHook
SSHHook(ssh_conn_id="dbt").get_conn().close()
"""


@pytest.mark.parametrize(("key", "code"), [("host_key", 0), ("other_key", 1)])
def test_airflow_talks_to_the_pinned_host_only(platform, key, code):
    connection = json.loads(platform.environment["AIRFLOW_CONN_DBT"])
    pinned = (platform.folder / f"{key}.pub").read_text().split()[:2]
    connection["extra"]["host_key"] = " ".join(pinned)
    done = platform.airflow("-c", LOG_IN, AIRFLOW_CONN_DBT=json.dumps(connection))
    assert done.returncode == code, done.stderr
    assert ("BadHostKeyException" in done.stderr) == bool(code)


def test_the_callers_environment_is_not_taken(platform):
    done = subprocess.run(
        platform.ssh("dbt deps", "-o", "SetEnv=WAREHOUSE_FOLDER=/nowhere"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_dbt_ends_with_the_connection(platform, first_run):
    def sessions():
        return platform.rows(
            "pro", "select count(*) from pg_stat_activity where usename = 'dbt_pro'"
        )[0][0]

    with platform.connect("pro", "postgres") as admin, admin.transaction():
        admin.execute("lock table gold.product_dim in access exclusive mode")
        caller = subprocess.Popen(platform.ssh("dbt build --target pro"), stdout=subprocess.DEVNULL)
        while not platform.rows("pro", "select from pg_locks where not granted"):
            assert caller.poll() is None
            time.sleep(0.1)
        caller.kill()
        caller.wait()
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while sessions():
            assert time.monotonic() < deadline, "dbt still runs"
            time.sleep(0.2)


PLAN = """
import json, pathlib, sys
from orchestration.pipeline import landing
from orchestration.warehouse import layouts

layouts.FOLDER = pathlib.Path(sys.argv[1])
landing.SETTLE_SECONDS = 0
planned = landing.plan_new_files(sys.argv[2], sys.argv[3], 1000, 2)
plans = planned["plans"]
print(json.dumps([(plan["table"], plan["source_file"], plan["columns"]) for plan in plans]))
"""


def test_each_source_has_a_folder_of_its_own(platform, tmp_path):
    """Files of one name in two of them are two files, to the ledger as well."""
    shutil.copytree(CHECKOUT / "orchestration/warehouse/layouts", tmp_path / "layouts")
    (tmp_path / "layouts/refunds.toml").write_text('key = "id"\ncolumns = ["id", "amount"]\n')
    (tmp_path / "landing/refunds").mkdir(parents=True)
    (tmp_path / "landing/unknown").mkdir()
    write_csv(tmp_path / "landing/march.csv", [{}])
    for name in ("refunds", "unknown"):
        (tmp_path / "landing" / name / "march.csv").write_text("id,amount\n1,2\n")
    conninfo = make_conninfo(
        host="127.0.0.1",
        port=platform.environment["WAREHOUSE_PORT"],
        dbname="data_lake",
        user="loader",
        passfile=platform.environment["PGPASSFILE"],
    )

    def planned():
        done = platform.airflow(
            *("-c", PLAN, str(tmp_path / "layouts"), f"file://{tmp_path}/landing", conninfo)
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    refunds = ["refunds", "march.csv", ["id", "amount"]]
    transactions = ["customer_transactions", "march.csv", list(COLUMNS)]
    assert sorted(planned()) == [transactions, refunds]
    digest = hashlib.sha256((tmp_path / "landing/refunds/march.csv").read_bytes()).hexdigest()
    with platform.connect("data_lake", "postgres") as lake:
        lake.execute(
            "insert into forex.load_ledger (table_name, source_file, content_sha256, finished_at,"
            " rows_read, rows_inserted, rows_updated, rows_unchanged, rows_superseded,"
            " rows_rejected) values ('refunds', 'march.csv', %s, now(), 0, 0, 0, 0, 0, 0)",
            [digest],
        )
    assert planned() == [transactions]
