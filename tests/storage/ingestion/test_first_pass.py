"""Clean rows that are kept between the two passes: the same data set, and files read once."""

from __future__ import annotations

import time

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client

import storage
from storage.ingestion import first_pass, pieces
from storage.ingestion.csv_files import CSVBlock

N = 300


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)),
            "bounded": rng.normal(size=N),
            "kind": rng.choice(["a", "b", None], N),
            "day": pd.date_range("2020-01-01", periods=N, freq="7h"),
            "flag": rng.choice([True, False], N),
            "key": rng.integers(0, 12, N),
            "y": rng.choice(["no", "yes"], N),
        }
    )
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def ingest(table, url, **options):
    keys = pd.DataFrame({"key": [*map(str, range(10))], "more": np.arange(10) / 7})
    return storage.ingest(
        table,
        url,
        target="y",
        columns={
            "number": storage.Column("number", missing="impute"),
            "bounded": storage.Column(minimum=-1, out_of_range="drop"),
        },
        joins=[storage.Join(keys, on="key", unmatched="drop")],
        partition_nbytes=4000,
        **options,
    )


def stored(data):
    """Return the chunks of a data set, and its report."""
    files = {str(each.relative_to(data.path)): each.read_bytes() for each in data.path.rglob("c.*")}
    return files, data.quality


def in_memory(monkeypatch):
    """Keep rows in memory, as for an object store."""
    monkeypatch.setattr(first_pass, "_FILE_NBYTES", 0)


@pytest.fixture
def reads(monkeypatch):
    """The position of each block of text that is read whole."""
    found, read = [], CSVBlock.__call__
    beginning = CSVBlock.beginning
    monkeypatch.setattr(
        CSVBlock, "__call__", lambda block, names: found.append(block.start) or read(block, names)
    )
    # The rows that show the kinds of columns are few in a large file; here they are all rows.
    monkeypatch.setattr(CSVBlock, "beginning", lambda block, _: beginning(block, 50))
    return found


@pytest.mark.parametrize("rows", [None, storage.HashSplit("key", 0, 0.7)])
def test_kept_rows_change_nothing_but_the_number_of_reads(
    table, tmp_path, rows, reads, monkeypatch
):
    monkeypatch.setattr(pieces, "_PIECE_NBYTES", 2000)  # several pieces of each partition
    in_files = ingest(table, tmp_path / "files", rows=rows)
    n_kept = len(reads)
    in_memory(monkeypatch)
    reads.clear()
    kept = ingest(table, tmp_path / "kept", rows=rows)
    assert len(reads) == n_kept
    monkeypatch.setattr(first_pass, "_KEPT_NBYTES", 0)
    reads.clear()
    again = ingest(table, tmp_path / "again", rows=rows)
    n_partitions = -(-table.stat().st_size // 4000)
    assert n_partitions > 3
    assert len(reads) - n_kept == n_partitions
    assert stored(kept) == stored(in_files) == stored(again)


def test_the_first_partitions_are_kept_while_there_is_room(table, tmp_path, reads, monkeypatch):
    in_memory(monkeypatch)
    all_kept = ingest(table, tmp_path / "all")
    reads.clear()
    monkeypatch.setattr(first_pass, "_KEPT_NBYTES", 2 * 2 * 4000)
    two = ingest(table, tmp_path / "two")
    starts = np.array(reads)
    # The sample, the first pass, and the second pass of all partitions but two.
    assert np.count_nonzero(starts == 4000) + 1 == np.count_nonzero(starts == 8000)
    assert stored(two) == stored(all_kept)


def test_rows_much_larger_than_their_text_are_not_kept_in_memory(tmp_path, reads, monkeypatch):
    text = "\n".join(["a,b,y", *["1,2,3"] * 200])
    (tmp_path / "digits.csv").write_text(text)
    storage.ingest(tmp_path / "digits.csv", tmp_path / "digits", target="y")
    assert len(reads) == 2  # the sample and one pass
    reads.clear()
    in_memory(monkeypatch)
    storage.ingest(tmp_path / "digits.csv", tmp_path / "again", target="y")
    assert len(reads) == 3  # two passes


@pytest.mark.cluster
def test_kept_rows_stay_on_the_workers_of_a_cluster(table, tmp_path, cluster, monkeypatch):
    with dask.config.set(scheduler="synchronous"):
        alone = ingest(table, tmp_path / "alone")
    with Client(cluster) as client:
        assert stored(ingest(table, tmp_path / "files")) == stored(alone)
        in_memory(monkeypatch)
        assert stored(ingest(table, tmp_path / "cluster")) == stored(alone)
        # Until no result is left behind; the scheduler needs a moment. Other tests may have left
        # tasks that failed, which no worker holds.
        while any(client.who_has().values()):
            time.sleep(0.01)
        workers = client.scheduler_info()["workers"].values()
        room = int(sum(worker["memory_limit"] for worker in workers) * first_pass._KEPT_SHARE)
        limits = first_pass._limits([room // 5] * 9)
        assert [*limits] == [0, 1]
        assert sum(limits.values()) <= room
