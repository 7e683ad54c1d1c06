"""The memory of an ingest depends on the sizes of partitions and blocks, not on the source."""

from __future__ import annotations

from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask.callbacks import Callback
from dask.sizeof import sizeof

import storage
from storage import writer
from storage.ingestion import first_pass, pieces
from storage.ingestion.checked_rows import CleanColumn, CleanRows
from storage.ingestion.rows import Rows

ROWS = 100
LINE = "0.125,1\n"


class Held(Callback):
    """Looks at the results that Dask holds after each task."""

    def __init__(self):
        self.most_rows, self.kinds = 0, Counter()

    def _posttask(self, key, result, dsk, state, worker_id):
        self.kinds[type(result)] += 1
        arrays = [value for value in state["cache"].values() if isinstance(value, np.ndarray)]
        rows = {id(array): len(array) for array in arrays if array.ndim == 2}
        self.most_rows = max(self.most_rows, sum(rows.values()))


def ingest(tmp_path, n_partitions):
    """Ingest so many partitions; three and a half of them make a block."""
    path = tmp_path / f"{n_partitions}.csv"
    path.write_text("a,y\n" + LINE * (n_partitions * ROWS))
    block_rows = ROWS * 7 // 2
    with dask.config.set(scheduler="synchronous"), Held() as held:
        storage.ingest(
            path,
            tmp_path / str(n_partitions),
            target="y",
            partition_nbytes=ROWS * len(LINE),
            chunk_nbytes=block_rows * 8,
            block_nbytes=block_rows * 16,
        )
    return held


@pytest.fixture
def _one_thread(monkeypatch):
    monkeypatch.setattr(first_pass, "_KEPT_NBYTES", 0)
    monkeypatch.setattr(first_pass, "_FILE_NBYTES", 0)
    monkeypatch.setattr(pieces, "n_threads", lambda: 1)
    monkeypatch.setattr(pieces, "_BLOCKS_OF_THREAD", 4)


@pytest.mark.usefixtures("_one_thread")
def test_rows_in_memory_do_not_grow_with_the_source(tmp_path):
    few, many = ingest(tmp_path, 30).most_rows, ingest(tmp_path, 150).most_rows
    assert few > 3 * ROWS
    assert many < few + 2 * ROWS


@pytest.mark.usefixtures("_one_thread")
def test_the_graph_of_a_run_does_not_grow_with_the_source(tmp_path, monkeypatch):
    sizes, compute = [], writer.compute

    def counted(*arrays):
        sizes.append(sum(len(array.dask) for array in arrays))
        return compute(*arrays)

    monkeypatch.setattr(writer, "compute", counted)
    most = []
    for n_partitions in (30, 120):
        sizes.clear()
        ingest(tmp_path, n_partitions)
        assert len(sizes) > n_partitions // 15  # runs of 4 blocks, of 3.5 partitions each
        most.append(max(sizes))
    assert most[1] <= most[0] + 10


@pytest.mark.usefixtures("_one_thread")
def test_raw_rows_are_used_by_the_task_that_reads_them(tmp_path, monkeypatch):
    n_of_sample = 5
    assert ingest(tmp_path, 12).kinds[Rows] == n_of_sample
    # A partition of several pieces is read once, and waits for all of them.
    monkeypatch.setattr(pieces, "_PIECE_NBYTES", 8 * ROWS // 2)
    assert ingest(tmp_path, 13).kinds[Rows] == n_of_sample + 14  # the header makes one more


@pytest.mark.usefixtures("_one_thread")
def test_tasks_that_partitions_share_run_once_a_pass(tmp_path):
    runs = []

    def rows(_, n):
        runs.append(n)
        return pd.DataFrame({"a": np.arange(n), "y": np.arange(n) % 2})

    whole = dd.from_map(rows, [0], n=40 * ROWS, meta={"a": int, "y": int})
    frame = whole.repartition(npartitions=40)
    with dask.config.set(scheduler="synchronous"):
        data = storage.ingest(
            frame, tmp_path / "d", target="y", chunk_nbytes=ROWS * 8, block_nbytes=ROWS * 16
        )
    assert data.X.numblocks[0] > 4 * pieces._BLOCKS_OF_THREAD
    assert len(runs) == 2


def test_dask_knows_the_size_of_rows():
    values = np.zeros(1000)
    table = pa.table({"a": values})
    assert 8000 <= sizeof(Rows(table, "file", "row", 1000)) < 9000
    assert 8000 <= sizeof(CleanRows({"a": CleanColumn(values, None, ())}, 1000)) < 9000
