"""How ids are shared out among chunks."""

import os
import random
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_reference import as_csv, row

from orchestration.loader import begin_set, plan, plan_set, survey
from orchestration.loader.bounds import Sample, bounds
from orchestration.loader.records import pieces

ids = st.binary(max_size=5)


@given(
    bound=st.lists(ids.filter(lambda id_: id_ and min(id_) > 9), unique=True).map(sorted),
    id_=ids,
    rests=st.tuples(st.binary(), st.binary()),
)
def test_what_follows_an_id_has_no_say(bound, id_, rests):
    chunks = {bisect_right(bound, id_ + b"\t" + rest) for rest in rests}
    assert chunks == {bisect_right(bound, id_ + b"\t")}


def sizes(plans, ids_of_files):
    """Return how many rows each chunk gets."""
    found = Counter()
    for planned, own in zip(plans, ids_of_files, strict=True):
        cut = [bound.encode("latin-1") for bound in planned.bounds]
        found.update(bisect_right(cut, str(id_).encode() + b"\t") for id_ in own)
    return found


def in_order(count):
    return range(10**6, 10**6 + count)


def shuffled(count):
    return random.Random(int(os.environ["SEED"])).sample(range(10**9), count)


def grown(count):
    """Each tenth with a letter before it, as in the sample."""
    return [f"{'T' if number % 10 == 0 else ''}{number}" for number in range(1, count + 1)]


def hashes(count):
    return [f"{number:032x}" for number in shuffled(count)]


@pytest.mark.parametrize("make", [in_order, shuffled, grown, hashes])
@pytest.mark.parametrize("city", ["plain", "one,two", "one\ntwo"])
def test_chunks_are_of_about_equal_size(make, city, tmp_path):
    own = list(make(30_000))
    path = tmp_path / "file.csv"
    path.write_bytes(as_csv([row(id_, customer_city=city) for id_ in own]))
    planned = plan(str(path), 4, rows_per_chunk=4000)
    found = sizes([planned], [own])
    assert sum(found.values()) == 30_000
    # A line break within a value is taken for one more row.
    assert planned.chunk_count == (16 if "\n" in city else 8)
    # Where a value is quoted one record in 500 is looked at, else one in four or so.
    assert max(found.values()) < (4000 if city == "plain" else 8000) * 1.3


def test_files_of_a_set_are_cut_alike_and_by_their_rows(tmp_path):
    days = [range(1000 * day, 1000 * day + size) for day, size in ((5, 800), (6, 40), (7, 160))]
    surveys = []
    for number, own in enumerate(days):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(as_csv([row(id_) for id_ in own]))
        surveys.append(survey(str(path)))
    plans = plan_set(surveys, workers=2, rows_per_chunk=100)
    assert len({tuple(planned.bounds) for planned in plans}) == 1
    assert {planned.chunk_count for planned in plans} == {10}
    found = sizes(plans, days)
    assert sum(found.values()) == 1000
    assert max(found.values()) <= 140


def test_files_that_are_not_cut_alike_are_no_set(loading, tmp_path):
    plans = []
    for number in range(2):
        data = as_csv([row(id_) for id_ in range(100 * number, 100 * number + 50)])
        plans.append(plan(loading.path(data, f"{number}.csv"), 4))
    with pytest.raises(ValueError, match="cut alike"):
        begin_set(loading.connection, plans)
    assert loading.lake.execute("select count(*) from forex.load_ledger").fetchone() == (0,)


def test_a_sample_stays_small_and_stands_for_the_whole_file():
    data = b"".join(b"%d,%b\n" % (number, b"x" * (number % 50)) for number in range(100_000))
    sample = Sample(0)
    blocks = iter([data, b""])
    for piece in pieces(lambda: next(blocks), 1):
        sample.look_at(piece)
    taken = list(sample)
    assert len(taken) <= 1024
    assert sum(weight for _, weight in taken) == pytest.approx(len(data), rel=0.05)
    assert len(bounds([sample], 100)) == 99


@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_without_ids_there_are_no_bounds(chunks):
    assert bounds([Sample(0)], chunks) == []
