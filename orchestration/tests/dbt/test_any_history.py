"""Any history of loads and builds gives the warehouse that a full refresh gives.

Hypothesis plays histories: files with new rows, corrections, the same ids and natural keys again,
keys that collide and part, values that turn bad and good; builds of all models or of some in
between.
`HISTORIES` sets how many (`make test-deep` plays many); the seed is in pytest's header.
"""

import os
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from orchestration.tests import support
from orchestration.tests.support import Dbt, contents, empty_lake, write_csv

HISTORIES = int(os.environ.get("HISTORIES", "12"))

# Few values, so that rows meet: in ids, in natural keys, in members of dimensions.
RECORD = st.fixed_dictionaries(
    {
        "transaction_id": st.sampled_from("abcdef"),
        "customer_first_name": st.sampled_from(["Ada", "Ada", "Ben", " ", "Ada-Ben"]),
        "product_name": st.sampled_from(["Product A", "Product B"]),
        "transaction_date": st.sampled_from(
            ["2023-07-11", "11/07/2023", "2024-02-29", "31-02-2023"]
        ),
        "quantity": st.sampled_from(["", "1.0", "two", "2.5"]),
        "price": st.sampled_from(["10", "10", "Two Hundred", "ten and and"]),
        "customer_city": st.sampled_from(["Madrid", "Lyon", "Cork"]),
    }
)
FILE = st.lists(RECORD, min_size=1, max_size=5)
SOME = [
    "cleaned_transaction",
    "missing_quantity",
    "transaction",
    "superseded_transaction",
    "transaction_fct",
    "customer_dim location_dim",
    "product_dim date_dim",
    "silver",
    "gold",
    "+transaction",
    "+transaction_fct",
]
# What is built after the loads of a day: mostly all; else some, or some anew, or nothing.
BUILD = st.one_of(
    st.just(["run"]),
    st.just(["run"]),
    st.sampled_from([["run", "--select", *some.split()] for some in SOME]),
    st.sampled_from([["run", "--full-refresh", "--select", *some.split()] for some in SOME]),
    st.just([]),
)


@pytest.fixture(scope="module")
def dbts(server, tmp_path_factory):
    """The incremental warehouse (`dev`) and the one that is always refreshed in full (`ci`)."""
    folder = tmp_path_factory.mktemp("dbt")
    incremental, refreshed = Dbt("dev", folder / "dev"), Dbt("ci", folder / "ci")
    incremental("run")
    return incremental, refreshed


class History(RuleBasedStateMachine):
    """One history; `dbts`, `server` and `folder` are set by the test."""

    def __init__(self):
        super().__init__()
        self.files = []
        self.names = count(1)
        self.lake = psycopg.connect(self.server("data_lake", "postgres"), autocommit=True)
        self.dev = psycopg.connect(self.server("dev", "postgres"), autocommit=True)
        empty_lake(self.lake)
        # Empty tables and marks: what a first build on an empty lake leaves, without its cost.
        self.dev.execute(
            "truncate analyst_bronze.missing_quantity, analyst_silver.cleaned_transaction,"
            " analyst_silver.transaction, analyst_silver.superseded_transaction,"
            " analyst_gold.customer_dim, analyst_gold.product_dim, analyst_gold.location_dim,"
            " analyst_gold.date_dim, analyst_gold.transaction_fct"
        )

    def _load(self, records):
        path = write_csv(self.folder / f"{next(self.names)}.csv", records)
        support.load(path)

    # One rule, as a history of loads without builds, or of builds without loads, tells little.
    @rule(files=st.lists(FILE, min_size=1, max_size=2), again=st.integers(0, 9), build=BUILD)
    def day(self, files, again, build):
        for records in files:
            self._load(records)
        self.files.extend(files)
        if again < len(self.files):
            self._load(self.files[again])
        if build:
            self.dbts[0](*build)

    def teardown(self):
        try:
            _assert_equal_to_a_full_refresh(self.dbts, self.server)
            incremental = contents(self.dev, "analyst_")
            (landed,) = self.lake.execute(
                "select count(*) from forex.customer_transactions"
            ).fetchone()
            parts = ("transaction", "rejected_transaction", "superseded_transaction")
            assert landed == sum(len(incremental[part]) for part in parts)
        finally:
            self.lake.close()
            self.dev.close()


def test_any_history_equals_a_full_refresh(dbts, server, tmp_path):
    machine = type(
        "AnyHistory", (History,), {"dbts": dbts, "server": staticmethod(server), "folder": tmp_path}
    )
    run_state_machine_as_test(
        seed(int(os.environ["SEED"]))(machine),
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=6,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def _assert_equal_to_a_full_refresh(dbts, server):
    dbts[0]("run")
    dbts[1]("run", "--full-refresh")
    with psycopg.connect(server("dev", "postgres")) as dev:
        incremental, refreshed = contents(dev, "analyst_"), contents(dev, "ci_local_")
    for model, rows in refreshed.items():
        assert incremental[model] == rows, model


@pytest.mark.parametrize("alone", ["transaction_fct", "superseded_transaction", "gold"])
def test_a_model_built_ahead_of_its_parents_catches_up(dbts, server, lake, tmp_path, alone):
    """Its mark is its parent's, not the clock's: else it never hears of the key that went."""
    dbts[0]("run", "--full-refresh")
    support.load(write_csv(tmp_path / "1.csv", [{"transaction_id": "a"}, {"transaction_id": "b"}]))
    dbts[0]("run")
    support.load(write_csv(tmp_path / "2.csv", [{"transaction_id": "b", "product_name": "B"}]))
    dbts[0]("run", "--select", "cleaned_transaction")
    dbts[0]("run", "--select", alone)
    support.load(write_csv(tmp_path / "3.csv", [{"transaction_id": "a", "price": "none"}]))
    dbts[0]("run", "--select", "cleaned_transaction")
    dbts[0]("run", "--select", alone)
    _assert_equal_to_a_full_refresh(dbts, server)
