"""The benchmark's files and pages; its stages are run by `make bench` alone."""

import json

import pytest

from orchestration.bench import files, report


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    return tmp_path


def test_files_are_the_same_each_time_but_for_what_is_changed(folder):
    base = files.base(1000).read_text().splitlines()
    changed = files.changed(1000).read_text().splitlines()
    different = [
        number for number, pair in enumerate(zip(base, changed, strict=True)) if len(set(pair)) > 1
    ]
    assert len(different) == 10
    some = files.some(1000, 100, "5.01").read_text().splitlines()
    assert len(some) == 101 and all(",5.01," in line for line in some[1:] if line.count(",") == 13)
    assert {line.split(",")[0] for line in some} <= {line.split(",")[0] for line in base}
    (folder / "1000-0.01.csv").unlink()
    assert files.base(1000).read_text().splitlines() == base


def test_what_others_load_is_what_can_be_landed():
    lines = b"".join(files.good_blocks(files.base(3000, defects=0.1))).splitlines()
    assert 2800 < len(lines) < 3000
    assert all(line.count(b",") == 13 and not line.startswith(b",") for line in lines)


def test_results_of_a_stage_are_put_beside_the_others(folder):
    found = {
        "rows_per_second": {
            "COPY, 4 sessions: table with primary key": 600_000.0,
            "one session of COPY and MERGE: first load": 200_000.0,
            "one session of COPY and MERGE: 1 % changed": 200_000.0,
            "this loader: first load": 500_000.0,
            "this loader: 1 % changed": 300_000.0,
        },
        "peak_mb_per_process": 90,
        "repetitions": 5,
        "machine": {"cores": 4},
    }
    report.add("load", "1000000", found)
    report.add("load", "100000", found)
    assert list(json.loads((folder / "results.json").read_text())["load"]) == ["100000", "1000000"]
    page = (folder / "results.md").read_text()
    assert "2.50× | 2.50×" in page and "0.83× | 0.83×" in page
    assert "500,000" in (folder / "load.svg").read_text()
