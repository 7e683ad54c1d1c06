"""One pass over Parquet files stores and reports the same as a count and a second pass."""

from __future__ import annotations

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed.utils import get_mp_context
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from storage import Column, metadata
from storage.ingestion import pieces
from storage.ingestion.parquet_files import ParquetPiece
from storage.ingestion.plan import planned_columns
from storage.ingestion.sources import source_of
from storage.ingestion.tally_tree import JOINED, TallyTree
from storage.ingestion.uncounted_source import UncountedSource
from storage.local_files import LocalFiles

COLUMNS = {
    "n": Column("number", minimum=-1, maximum=1, out_of_range="clip"),
    "t": Column("datetime", parts=("month", "hour")),
    "c": Column("category", categories=("a", "b"), missing="impute", fill_value="a"),
    "i": Column("number", missing="impute", fill_value=7),
    "y": Column("number"),
}


def table(n, seed=0):
    rng = np.random.default_rng(seed)

    def gaps(values):
        return pa.array(values, mask=rng.random(n) < 0.2)

    return pa.table(
        {
            "n": rng.normal(size=n),
            "t": gaps(np.datetime64("2020-01-01T00:00", "us") + rng.integers(0, 10**12, n)),
            "c": gaps(rng.choice(["a", "b"], n)),
            "i": gaps(rng.integers(0, 9, n)),
            "y": np.arange(n) / 8,
        }
    )


def files_of(folder, lengths):
    """Write a file for each number of rows, in row groups of 10 rows; return their paths."""
    rows, start = table(sum(lengths)), 0
    paths = []
    for number, n in enumerate(lengths):
        paths.append(str(folder / f"{number:03}.parquet"))
        pq.write_table(rows.slice(start, n), paths[-1], row_group_size=10)
        start += n
    return paths


def ingest(source, url, **options):
    sizes = {"chunk_nbytes": 450, "block_nbytes": 1100, "partition_nbytes": 1}
    with dask.config.set(scheduler="synchronous"):
        return storage.ingest(
            source, url, **{"target": "y", "columns": COLUMNS, **sizes, **options}
        )


def stored(data):
    """Return the chunks of a data set and its report, without the names of files."""
    files = {str(each.relative_to(data.path)): each.read_bytes() for each in data.path.rglob("c.*")}
    return files, data.quality


@pytest.fixture
def reads(monkeypatch):
    """The file of each reading of a partition."""
    found, read = [], ParquetPiece.__call__
    monkeypatch.setattr(
        ParquetPiece,
        "__call__",
        lambda piece, names: found.append(piece.fragment.path) or read(piece, names),
    )
    return found


def in_two_passes(monkeypatch):
    monkeypatch.setattr(UncountedSource, "of", lambda *_: None)


@settings(max_examples=15)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any),
    at_once=st.integers(1, 9),
    duplicates=st.sampled_from(["allow", "error"]),
)
def test_the_bits_are_those_of_two_passes(lengths, at_once, duplicates):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(pieces, "_BLOCKS_OF_THREAD", at_once)
        patch.setattr(pieces, "n_threads", lambda: 1)
        folder = Path(name)
        source = files_of(folder, lengths)
        # No time and no target occurs twice, and some times are missing.
        columns = {name: replace(COLUMNS[name], duplicates=duplicates) for name in ("t", "y")}
        options = {"columns": COLUMNS | columns}
        one = ingest(source, folder / "one", **options)
        in_two_passes(patch)
        two = ingest(source, folder / "two", **options)
        assert stored(one) == stored(two)
        assert ("hashes" in one.layouts) == (duplicates == "error")
        one.verify()


def test_a_partition_is_read_once_in_each_run_of_blocks(tmp_path, reads, monkeypatch):
    source = files_of(tmp_path, [10] * 40)
    monkeypatch.setattr(pieces, "_BLOCKS_OF_THREAD", 100)
    ingest(source, tmp_path / "one")
    assert sorted(reads) == source
    reads.clear()
    monkeypatch.setattr(pieces, "_BLOCKS_OF_THREAD", 1)
    monkeypatch.setattr(pieces, "n_threads", lambda: 4)
    data = ingest(source, tmp_path / "runs")
    n_runs = -(-data.X.numblocks[0] // 4)
    assert n_runs > 2
    assert {*reads} == {*source}
    assert len(reads) <= len(source) + n_runs - 1
    reads.clear()
    in_two_passes(monkeypatch)
    ingest(source, tmp_path / "two")
    assert len(reads) >= 2 * len(source)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"i": Column("number", missing="impute")}, {}),
        ({"i": Column("number", scale="standard")}, {}),
        ({"c": Column("category")}, {}),
        ({"c": Column("category", categories=("a", "b"), max_categories=1)}, {}),
        ({"i": Column("number", missing="drop")}, {}),
        ({"i": Column("number", duplicates="drop")}, {}),
        ({}, {"rows": storage.HashSplit("i", 0, 0.9)}),
    ],
    ids=["mean", "scale", "categories", "too many", "drop", "duplicates", "split"],
)
def test_rows_are_counted_before_if_something_depends_on_their_values(columns, options, tmp_path):
    source = source_of(files_of(tmp_path, [30]), None, 100)
    plan = planned_columns(source, "y", None, {**COLUMNS, **columns}).columns
    assert UncountedSource.of(source, plan, None, options.get("rows"), ()) is None
    plan = planned_columns(source, "y", None, COLUMNS).columns
    assert UncountedSource.of(source, plan, None, None, ())


def test_rows_by_known_steps_need_one_pass(tmp_path, reads):
    source = files_of(tmp_path, [30, 25])
    train = ingest(source[:1], tmp_path / "train", columns={"c": Column(missing="impute")})
    reads.clear()
    test = ingest(source[1:], tmp_path / "test", like=train, target=None, columns=None)
    assert len(reads) == 3
    assert test.n_samples == 25
    X, y, _ = train.encode(pq.read_table(source[1]))
    np.testing.assert_array_equal(test.X.compute(scheduler="synchronous"), X)
    np.testing.assert_array_equal(test.y.compute(scheduler="synchronous"), y)


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_workers_store_the_same(tmp_path):
    source = files_of(tmp_path, [35, 0, 47, 12])
    alone = ingest(source, tmp_path / "alone")
    found = storage.ingest(
        source, tmp_path / "cluster", target="y", columns=COLUMNS,
        chunk_nbytes=450, block_nbytes=1100, partition_nbytes=1,
    )  # fmt: skip
    assert stored(found) == stored(alone)


def test_all_broken_rules_are_named_and_nothing_is_stored(tmp_path, monkeypatch):
    source = files_of(tmp_path, [40, 40])
    strict = {
        **COLUMNS,
        "n": Column("number", minimum=-1),
        "c": Column("category", categories=("a",)),
        "y": Column("category", categories=("0", "0.125")),
    }
    with pytest.raises(storage.InvalidData) as one:
        ingest(source, tmp_path / "d", columns=strict)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {Path(each).name for each in source}
    in_two_passes(monkeypatch)
    with pytest.raises(storage.InvalidData) as two:
        ingest(source, tmp_path / "d", columns=strict)
    assert str(one.value) == str(two.value)
    assert all(f"column {name!r}" in str(one.value) for name in ("n", "c", "y"))
    assert "78 of 80" in str(one.value)


def test_a_file_with_other_rows_than_its_metadata_told_is_refused(tmp_path, monkeypatch):
    source = files_of(tmp_path, [40])
    read = ParquetPiece.__call__

    def fewer(piece, names):
        rows = read(piece, names)
        return type(rows)(rows.table.slice(1), rows.file, rows.unit, rows.n_units)

    monkeypatch.setattr(ParquetPiece, "__call__", fewer)
    with pytest.raises(storage.InvalidData, match=r"000\.parquet has other rows .* changed while"):
        ingest(source, tmp_path / "d")
    assert [each.name for each in tmp_path.iterdir()] == ["000.parquet"]


def test_steps_too_large_for_the_record_are_refused_before_a_row_is_read(
    tmp_path, reads, monkeypatch
):
    source = files_of(tmp_path, [40])
    monkeypatch.setattr(metadata, "_MAX_NBYTES", 1_000)
    with pytest.raises(storage.InvalidData, match=r"do not fit into ingest\.json"):
        ingest(source, tmp_path / "d")
    assert reads == []
    assert [each.name for each in tmp_path.iterdir()] == ["000.parquet"]


def killed_at(number, source, url):
    """Ingest, and end this process at a write to the hidden folder."""
    write, count = LocalFiles.write, 0

    def counted(self, *arguments, **options):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, *arguments, **options)

    LocalFiles.write = counted
    ingest(source, url)


@pytest.mark.parametrize("number", [2, 9, -2, -1])
def test_a_killed_pass_resumes_and_writes_only_what_is_missing(number, tmp_path, monkeypatch):
    source = files_of(tmp_path, [70, 50])
    whole = stored(ingest(source, tmp_path / "whole"))
    n_writes = 6 + len(whole[0])  # four before the chunks, and two after them
    process = get_mp_context().Process(
        target=killed_at, args=(number % (n_writes + 1), source, str(tmp_path / "d"))
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    [left] = (each for each in tmp_path.iterdir() if each.name.startswith("."))
    before = {str(each.relative_to(left)) for each in left.rglob("c.*")}
    assert len(before) == {2: 0, 9: 4}.get(number, len(whole[0]))
    written, write = [], LocalFiles.write

    def noted(self, key, *arguments, **options):
        written.append(key)
        write(self, key, *arguments, **options)

    monkeypatch.setattr(LocalFiles, "write", noted)
    data = ingest(source, tmp_path / "d", resume=True)
    data.verify()
    assert stored(data) == whole
    # A block is written again if one of its chunks, two of X or one of y, is missing.
    for key in {key for key in written if "/c." in key} & before:
        assert f"X/c.{int(key.split('.')[1]) ^ 1}.0" not in before
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


@settings(max_examples=10)
@given(n=st.integers(1, 200))
def test_tallies_are_joined_in_the_groups_of_a_tree(n):
    groups = []

    def noted(parts, _):
        groups.append(len(parts))
        return [each for part in parts for each in part]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.ingestion.tally_tree.joined", noted)
        tree = TallyTree({})
        for number in range(n):
            tree.add([number])
        assert tree.whole() == [*range(n)]
    assert max(groups) <= JOINED
    level, expected = n, 0
    while level > JOINED:
        level = -(-level // JOINED)
        expected += level
    assert len(groups) == expected + 1
