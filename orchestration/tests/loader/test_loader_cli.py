"""What a user types, sees, and gets as exit code."""

import os
import pty
import select
import subprocess
import sys

import pytest
from loader_reference import as_csv, row

from orchestration.loader import RefusedError, connect
from orchestration.loader.ledger import turn


@pytest.fixture
def command(lake, checkout, tmp_path):
    def command(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "orchestration.loader", *map(str, arguments), "--workers", "2"],
            cwd=checkout,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return command


def count(lake):
    return lake.execute("select count(*) from forex.customer_transactions").fetchone()[0]


def test_a_file_is_loaded_in_parallel_chunks_and_summed_up(command, lake, tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(as_csv([row(i) for i in range(1200)]) + b"bad\n")
    done = command(path, "--rows-per-chunk", 100)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith(
        "some.csv: 1,201 rows read: 1,200 inserted, 0 updated, 0 unchanged, 0 superseded,"
        " 1 rejected ("
    )
    assert count(lake) == 1200
    assert lake.execute("select count(*) from forex.load_chunk").fetchone() == (14,)


def test_a_refused_file_does_not_stop_the_other_files_of_a_folder(command, lake, tmp_path):
    (tmp_path / "b.csv").write_bytes(b"colour\nred\n")
    (tmp_path / "c.csv").write_bytes(as_csv([row(1), row(2)]))
    (tmp_path / "a.csv").write_bytes(as_csv([row(1, tax="")]))
    (tmp_path / "d.csv").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no CSV file")
    (tmp_path / "folder.csv").mkdir()
    done = command(tmp_path)
    assert done.returncode == 3
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert "b.csv is refused" in errors[0]
    assert "unknown 'colour'" in errors[0]
    assert "d.csv is empty" in errors[1]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["a.csv", "c.csv"]
    assert lake.execute(
        "select transaction_id, source_file, source_line, tax from forex.customer_transactions"
        " order by 1"
    ).fetchall() == [("1", "c.csv", 2, "tax of 1"), ("2", "c.csv", 3, "tax of 2")]


def one_error(done):
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_what_the_user_can_mend_is_one_line(command, tmp_path):
    assert "does not exist" in one_error(command(tmp_path / "none.csv"))
    assert "without any *.csv" in one_error(command(tmp_path))
    path = tmp_path / "file.csv"
    path.write_bytes(as_csv([row(1)]))
    refused = one_error(command(path, WAREHOUSE_PORT="1024"))
    assert "no connection to PostgreSQL at 127.0.0.1:1024" in refused
    assert "make server" in refused
    assert "no connection" in one_error(command(path, WAREHOUSE_PASSFILE=str(tmp_path / "none")))
    nonsense = command(path, "--rows-per-chunk", "0")
    assert nonsense.returncode == 2
    assert "'0' is not a number from 1 upwards" in nonsense.stderr
    path.write_bytes(b"x" * 10)
    assert "is refused" in one_error(command(path))


def test_a_lake_that_is_not_provisioned_is_one_line(command, lake, tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(as_csv([row(1)]))
    lake.execute("alter table forex.load_ledger rename to elsewhere")
    try:
        error = one_error(command(path))
    finally:
        lake.execute("alter table forex.elsewhere rename to load_ledger")
    assert "load_ledger" in error
    assert "make server" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_one_line(command, tmp_path):
    path = tmp_path / "file.csv"
    path.touch(mode=0)
    assert "Permission denied" in one_error(command(path))


def test_an_unreadable_file_is_refused(loading, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("orchestration.loader.planning.open_binary", refuse)
    with pytest.raises(RefusedError, match=r"file.csv cannot be read \(Permission denied\)"):
        loading([row(1)])


def test_a_load_waits_for_its_turn_and_says_so(server, lake, checkout, tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(as_csv([row(1)]))
    with connect(server("data_lake", "loader")) as other, turn(other):
        load = subprocess.Popen(
            [sys.executable, "-m", "orchestration.loader", str(path), "--workers", "1"],
            cwd=checkout,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert select.select([load.stderr], [], [], 20)[0], "it says nothing"
        assert load.stderr.readline() == "file.csv: waiting until another load has finished\n"
        assert count(lake) == 0
    output, _ = load.communicate(timeout=60)
    assert load.returncode == 0
    assert "1 inserted" in output


def test_progress_is_shown_on_a_terminal_and_only_there(lake, checkout, tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(as_csv([row(1)]))
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.loader", str(path), "--workers", "1"],
        cwd=checkout,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "file.csv: merging 100 %" in shown
    assert "merging" not in done.stdout
