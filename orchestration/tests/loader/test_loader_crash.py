"""Loads at the same time, loads that die, loads that come too late."""

import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from loader_reference import Model, as_csv, row

from orchestration.loader import (
    LoaderError,
    begin_load,
    connect,
    extract,
    finish_load,
    load_chunk,
    plan,
)
from orchestration.loader.ledger import pass_fence
from orchestration.loader.workspace import workspace
from orchestration.warehouse.settings import CHECKOUT


def start(checkout, path, *options, **popen):
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.loader", str(path), "--workers", "2", *options],
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ignored, and so inherited, where a script runs the tests in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **popen,
    )


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waits_for_a_lock(lake):
    return lake.execute(
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
    ).fetchone()[0]


def prepared(loading, content, name="file.csv", **options):
    """Return a load with all its chunk files, ready to be merged."""
    planned = plan(loading.path(content, name), 4, **options)
    load = begin_load(loading.connection, planned)
    return load, [extract(planned, part, str(loading.folder)) for part in planned.ranges]


def test_overlapping_loads_at_the_same_time_end_as_some_serial_order(loading, checkout):
    """Also when one of them agrees with what the lake held before, and so leaves no trace."""
    ids = range(600)
    loading([row(i, tax="held") for i in ids])
    held = loading.path(as_csv([row(i, tax="held") for i in ids]), "held.csv")
    other = loading.path(as_csv([row(i, tax="other") for i in reversed(ids)]), "other.csv")
    winners = set()
    for turn in range(3):
        loads = [
            start(checkout, path, "--rows-per-chunk", "30")
            for path in ((held, other), (other, held))[turn % 2]
        ]
        assert [load.wait(60) for load in loads] == [0, 0]
        taxes = {values[7] for values, *_ in loading.rows().values()}
        last = loading.lake.execute(
            "select source_file from forex.load_ledger order by started_at desc limit 1"
        ).fetchone()[0]
        assert taxes == {last.removesuffix(".csv")}
        winners |= taxes
    overlaps = loading.lake.execute(
        "select count(*) from forex.load_ledger as a inner join forex.load_ledger as b"
        " on a.load_id < b.load_id and a.finished_at > b.started_at"
    ).fetchone()
    assert overlaps == (0,)


def wait_for_the_end_of(pids):
    """Wait until none of the processes runs; one that nobody reaped yet does not."""
    wait_until(lambda: all("Z" in state for state in states(pids)))


def states(pids):
    found = subprocess.run(
        ["ps", "-o", "state=", "-p", ",".join(pids)], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def children(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


@pytest.mark.parametrize("seed", range(5))
def test_a_load_killed_anywhere_is_repaired_by_loading_again(loading, checkout, seed):
    rng = random.Random(seed)
    old = as_csv([row(i, tax="old") for i in range(0, 9000, 3)])
    new = as_csv([row(i % 8000, tax=f"new {i % 7}") for i in range(9000)]) + b"bad\n"
    loading(old, "old.csv")
    model = Model()
    model.load("old.csv", old)
    model.load("new.csv", new)
    path = loading.path(new, "new.csv")
    load = start(checkout, path, "--rows-per-chunk", "150")
    wait_until(
        lambda: loading.lake.execute("select count(*) from forex.load_ledger").fetchone() == (2,)
    )
    time.sleep(rng.random() * 0.8)
    offspring = children(load.pid)
    load.kill()
    load.wait()
    wait_for_the_end_of(offspring)
    wait_until(
        lambda: (
            loading.lake.execute(
                "select count(*) from pg_stat_activity where application_name = 'forex loader'"
            ).fetchone()
            == (1,)
        )
    )
    # Whatever was merged came in whole chunks, and each of them is noted.
    in_lake, noted = loading.lake.execute(
        "select (select count(*) from forex.customer_transactions where source_file = 'new.csv'),"
        " (select coalesce(sum(c.rows_inserted + c.rows_updated), 0) from forex.load_chunk as c"
        " inner join forex.load_ledger using (load_id) where source_file = 'new.csv')"
    ).fetchone()
    assert in_lake == noted
    again = start(checkout, path, "--rows-per-chunk", "150")
    assert again.wait(60) == 0
    assert loading.rows() == model.lake
    assert loading.rejected() == model.rejected


def test_the_server_going_away_is_one_line_and_repaired(loading, checkout, tmp_path):
    data = as_csv([row(i) for i in range(6000)])
    path = loading.path(data)
    # Three rows' locks make the load last until the server ends its sessions.
    loading([row(1, tax="old")], "old.csv")
    with psycopg.connect(loading.conninfo) as blocker:
        blocker.execute(
            "select from forex.customer_transactions where transaction_id = '1' for update"
        )
        load = subprocess.Popen(
            [sys.executable, "-m", "orchestration.loader", path, "--workers", "2"],
            cwd=checkout,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ours = blocker.info.backend_pid, loading.connection.info.backend_pid
        wait_until(lambda: waits_for_a_lock(loading.lake))
        loading.lake.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'forex loader' and pid <> all(%s)",
            [list(ours)],
        )
        output, errors = load.communicate(timeout=60)
    assert load.returncode == 2
    assert output == ""
    assert errors.startswith("error: PostgreSQL stopped the load (")
    assert errors.count("\n") == 1
    assert loading(data).rows_read == 6000
    assert len(loading.rows()) == 6000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_load_cleans_up(loading, checkout, how):
    loading([row(1, tax="old")], "old.csv")
    path = loading.path(as_csv([row(i) for i in range(100)]))
    with psycopg.connect(loading.conninfo) as blocker:
        blocker.execute(
            "select from forex.customer_transactions where transaction_id = '1' for update"
        )
        load = start(checkout, path)
        wait_until(lambda: waits_for_a_lock(loading.lake))
        offspring = children(load.pid)
        folders = list((CHECKOUT / ".cache").glob("load-*"))
        load.send_signal(how)
        assert load.wait(20) == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    wait_for_the_end_of(offspring)
    assert folders
    wait_until(lambda: not any(folder.exists() for folder in folders))  # some may be others'


def test_what_a_killed_load_left_is_removed_by_the_next_and_no_other(tmp_path):
    killed = tmp_path / "load-killed"
    killed.mkdir()
    (killed / "chunk").touch()
    with workspace(tmp_path) as mine:
        assert not killed.exists()
        with workspace(tmp_path) as other:
            assert mine != other
        assert Path(mine).is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_load_that_was_overtaken_can_do_nothing_more(loading):
    old, old_extracts = prepared(loading, as_csv([row(i, tax="old") for i in range(8)]))
    load_chunk(loading.connection, old, 0, old_extracts)
    new, new_extracts = prepared(loading, as_csv([row(i, tax="new") for i in range(8)]), "new.csv")
    for late in (
        lambda: load_chunk(loading.connection, old, 0, old_extracts),
        lambda: load_chunk(loading.connection, old, 1, old_extracts),
        lambda: finish_load(loading.connection, old, old_extracts),
    ):
        with pytest.raises(LoaderError, match="a newer load took over"):
            late()
    for chunk in range(4):
        load_chunk(loading.connection, new, chunk, new_extracts)
    finish_load(loading.connection, new, new_extracts)
    with pytest.raises(LoaderError, match="is over"):
        load_chunk(loading.connection, new, 0, new_extracts)
    with pytest.raises(LoaderError, match="is over"):
        load_chunk(loading.connection, old, 1, old_extracts)
    assert {values[7] for values, *_ in loading.rows().values()} == {"new"}
    assert [entry[0] for entry in loading.ledger()] == ["new.csv"]


def test_a_newer_load_waits_for_merges_under_way_and_stops_those_to_come(loading):
    """The fence, at its narrowest: a merge that waits for the newer load's lock must see it."""
    old, _ = prepared(loading, as_csv([row(1)]))
    planned = plan(loading.path(as_csv([row(2)]), "new.csv"), 4)
    begun = []
    with psycopg.connect(loading.conninfo) as merging:
        pass_fence(merging, old)  # its transaction stays open: a merge under way
        beginner = threading.Thread(
            target=lambda: begun.append(begin_load(loading.connection, planned)),
            daemon=True,
        )
        beginner.start()
        time.sleep(0.3)
        assert not begun
        merging.rollback()
        beginner.join(10)
        assert begun

    # A merge of the newer load's predecessor that comes while the next load begins.
    newest, _ = begun[0], None
    with psycopg.connect(loading.conninfo) as beginning:
        beginning.execute(
            "select from forex.load_ledger where finished_at is null order by load_id for update"
        )
        refused = []

        def late():
            with psycopg.connect(loading.conninfo) as connection:
                try:
                    pass_fence(connection, newest)
                except LoaderError as error:
                    refused.append(str(error))

        merge = threading.Thread(target=late)
        merge.start()
        time.sleep(0.3)
        beginning.execute(
            "insert into forex.load_ledger (source_file, content_sha256) values ('x', 'x')"
        )
        beginning.commit()
        merge.join(10)
        assert len(refused) == 1


def test_a_chunk_merged_twice_at_the_same_time_counts_once(loading):
    load, extracts = prepared(loading, as_csv([row(i) for i in range(4000)]), rows_per_chunk=4000)

    def merge(chunk):
        with connect(loading.conninfo) as connection:
            return load_chunk(connection, load, chunk, extracts)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(merge, [0, 0, 1, 1, 2, 2, 3, 3]))
    assert results[::2] == results[1::2]
    assert finish_load(loading.connection, load, extracts).rows_inserted == 4000


def test_a_collision_with_another_writer_is_tried_again(loading):
    load, extracts = prepared(loading, as_csv([row(1)]))
    with psycopg.connect(loading.conninfo) as other:
        other.execute("insert into forex.customer_transactions (transaction_id) values ('1')")
        result = []
        merge = threading.Thread(
            target=lambda: result.append(load_chunk(loading.connection, load, 0, extracts))
        )
        merge.start()
        time.sleep(0.3)
        assert not result
        other.commit()
    merge.join(10)
    assert result[0].rows_updated == 1
    assert loading.value("1", "tax") == "tax of 1"
