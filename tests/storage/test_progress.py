"""Operations report their stages, the same ones on threads and on a cluster."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from itertools import groupby

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from dask.callbacks import Callback
from dask.diagnostics import ProgressBar
from dask.utils import key_split
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.layout import ArrayLayout
from storage.local_files import LocalFiles
from storage.writer import BlockWriter, write_arrays
from tests.storage.strategies import as_input

SMALL = {"chunk_nbytes": 200, "block_nbytes": 700}
X = np.arange(600.0).reshape(200, 3)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": X[:, 2]}).to_csv(path, index=False)
    return path


def stages(seen):
    """The stages in their order; checks that each one begins, rises and ends as it must."""
    found = []
    for (name, total), group in groupby(seen, lambda now: (now.stage, now.total)):
        done = [now.done for now in group]
        assert done == sorted(set(done))
        assert done[-1] == total > 0
        found.append((name, done[0], total))
    return found


def reported(operation, *args, **options):
    seen = []
    with storage.listening(seen.append):
        operation(*args, **options)
    return seen


def all_operations(folder, csv):
    """Run every operation on small blocks; return the stages of each."""
    place = folder / "d.zarr"
    lazy = da.from_array(X, chunks=(23, 2))
    numbers = ",".join(["0 1:1 2:5\n1 2:3\n"] * 50).replace(",", "")
    (folder / "rows.svm").write_text(numbers)
    seen = {
        "create": reported(storage.create_dataset, folder / "c.zarr", lazy, lazy[:, 0], **SMALL),
        "ingest": reported(storage.ingest, csv, place, target="y", partition_nbytes=500, **SMALL),
        "svmlight": reported(
            storage.ingest, folder / "rows.svm", folder / "s.zarr", partition_nbytes=300, **SMALL
        ),
        "append": reported(storage.append, place, csv),
        "shuffle": reported(
            storage.shuffle, storage.open_dataset(place), folder / "m.zarr", seed=0
        ),
    }
    (place / "X" / "c.0.0").unlink()
    seen["repair"] = reported(storage.repair, place, [csv, csv])
    seen["verify"] = reported(storage.verify, place)
    return {name: stages(each) for name, each in seen.items()}


def check_operations(found, n_partitions):
    assert {name: [stage for stage, _, _ in each] for name, each in found.items()} == {
        "create": ["write"],
        "ingest": ["count", "write"],
        "svmlight": ["count", "write"],
        "append": ["count", "write", "complete"],
        "shuffle": ["shuffle", "write"],
        "repair": ["verify", "count", "repair", "verify"],
        "verify": ["verify"],
    }
    assert all(first == 0 for each in found.values() for _, first, _ in each)
    assert found["ingest"][0] == ("count", 0, n_partitions)
    assert found["repair"][2] == ("repair", 0, 1)


def test_every_operation_reports_its_stages(tmp_path, csv):
    check_operations(all_operations(tmp_path, csv), -(-csv.stat().st_size // 500))


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_a_cluster_reports_the_same_stages(tmp_path, csv):
    check_operations(all_operations(tmp_path, csv), -(-csv.stat().st_size // 500))


@given(st.data(), st.integers(1, 90))
def test_each_block_of_each_array_is_reported_once(tmp_path_factory, draw, n_rows):
    array = draw.draw(as_input(X[:n_rows]))
    y = draw.draw(as_input(X[:n_rows, 0]))
    place = tmp_path_factory.mktemp("d") / "d.zarr"
    seen = reported(storage.create_dataset, place, array, y, **SMALL)
    unknown = [each for each in (array, y) if np.isnan(each.shape[0])]
    counted = [("count", 0, sum(each.numblocks[0] for each in unknown))] if unknown else []
    total = 2 * storage.open_dataset(place).X.numblocks[0]
    assert stages(seen) == [*counted, ("write", 0, total)]
    seen = [now for now in seen if now.stage == "write"]
    # Dask computes a single block, and checks it, under one key or another.
    assert len(seen) == 1 + total or total == 2


@pytest.mark.parametrize("columns", [2, 3])
def test_a_block_is_reported_when_it_is_written(tmp_path, columns):
    def check(now):
        n_files = sum(1 for _ in tmp_path.rglob("c.*"))
        checked.append(now.done <= n_files)

    checked = []
    rows = da.from_array(X, chunks=(23, columns))
    with storage.listening(check):
        storage.create_dataset(tmp_path / "a.zarr", rows, rows[:, 0], **SMALL)
    assert len(checked) > 10
    assert all(checked)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("at_once", [None, 3])
def test_blocks_that_are_written_already_are_done_at_the_beginning(tmp_path, lazy, at_once):
    layout = ArrayLayout("y", "float64", 200, (), 5)
    (tmp_path / "y").mkdir()
    writer = BlockWriter(LocalFiles(str(tmp_path)), layout, 20)
    y = da.from_array(X[:, 0], chunks=30) if lazy else X[:, 0]
    entries = write_arrays({"y": y}, {"y": writer})["y"]
    finished = {"y": {block: [*entries.run(4 * block, 4 * block + 4)] for block in (0, 1, 5)}}
    seen = reported(write_arrays, {"y": y}, {"y": writer}, finished, at_once)
    assert seen == [storage.Progress("write", done, 10) for done in range(3, 11)]


def test_listeners_are_called_in_the_thread_of_the_operation(tmp_path):
    threads = set()
    with storage.listening(lambda _: threads.add(threading.get_ident())):
        storage.create_dataset(tmp_path / "a.zarr", da.from_array(X, chunks=30), X[:, 0], **SMALL)
        # Operations of other threads are not reported.
        other = threading.Thread(target=storage.verify, args=(tmp_path / "a.zarr",))
        other.start()
        other.join()
    assert threads == {threading.get_ident()}


def test_several_listeners_hear_the_same_until_their_block_ends(tmp_path):
    data = storage.create_dataset(tmp_path / "a.zarr", X, X[:, 0], **SMALL)
    outer, inner = [], []
    with storage.listening(outer.append):
        with storage.listening(inner.append):
            data.verify()
        assert inner == outer == [storage.Progress("verify", done, 2) for done in range(3)]
        data.verify()
    data.verify()
    assert (len(inner), len(outer)) == (3, 6)


def test_a_listener_must_be_a_function():
    with pytest.raises(TypeError, match="must be a function of one Progress, got 3"):
        storage.listening(3).__enter__()


@pytest.mark.parametrize("source", ["numpy", "dask"])
def test_an_operation_goes_on_without_a_listener_that_fails(tmp_path, source, caplog):
    calls, seen = [], []

    def fail(now):
        calls.append(now)
        if now.done == 2:
            raise RuntimeError("no more")

    rows = X if source == "numpy" else da.from_array(X, chunks=30)
    with storage.listening(fail), storage.listening(seen.append):
        data = storage.create_dataset(tmp_path / "a.zarr", rows, X[:, 0], **SMALL)
    assert data.X.compute().tolist() == X.tolist()
    assert [now.done for now in calls] == [0, 1, 2]
    assert seen[-1].done == seen[-1].total
    [record] = caplog.records
    assert "is not called again" in record.message
    assert "no more" in record.exc_text


def check_failure(folder):
    """An error in a block is the one without a listener."""

    def spoilt(_):
        raise ValueError("this block is spoilt")

    rows = da.from_array(X, chunks=30).map_blocks(spoilt, meta=X)
    seen = []
    with storage.listening(seen.append), pytest.raises(ValueError, match="is spoilt") as caught:
        storage.create_dataset(folder / "a.zarr", rows, X[:, 0], **SMALL)
    assert seen[-1].done < seen[-1].total
    assert not list(folder.iterdir())
    return caught


def test_an_error_in_a_block_is_raised(tmp_path):
    check_failure(tmp_path)


@pytest.mark.cluster
def test_an_error_in_a_block_is_raised_on_a_cluster(client, tmp_path):
    caught = check_failure(tmp_path)  # its traceback keeps what the operation has not released
    client.sync(asyncio.sleep, 0)  # the loop of the client does what was asked of it before
    assert caught.value
    assert not client.futures


def test_dasks_own_progress_bar_shows_an_ingest(tmp_path, csv):
    out = io.StringIO()
    with ProgressBar(out=out, dt=0.01):
        storage.ingest(csv, tmp_path / "d.zarr", target="y", partition_nbytes=500, **SMALL)
    # Of the sample of rows, of the first pass, and of the second one.
    assert out.getvalue().count("| 100% Completed |") == out.getvalue().count("\n") >= 3


def test_tasks_have_readable_names(tmp_path, csv):
    names = set()
    with Callback(pretask=lambda key, *_: names.add(key_split(key))):
        all_operations(tmp_path, csv)
        sparse = da.from_array(X, chunks=(30, 3)).map_blocks(scipy.sparse.csr_matrix)
        storage.create_dataset(tmp_path / "x.zarr", sparse, X[:, 0], **SMALL)
    assert {"count", "encode", "shuffle", "verify-X", "write-X", "repair-X", "complete"} <= names
    assert not [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{,50}", name)]
