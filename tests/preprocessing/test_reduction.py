"""One pass over aligned rows: every block once, a fixed tree, few blocks in memory."""

from __future__ import annotations

import threading

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.preprocessing.reduction import reduce_rows
from tests.preprocessing.lazy_forms import ARRAYS, counted, lazy, names


def as_list(*blocks):
    return [tuple(np.asarray(block).tolist() for block in blocks)]


def join(left, right):
    return left + right


def nested(left, right):
    return f"({left}{right})"


@pytest.mark.parametrize("form", [form for form in ARRAYS if form != "zarr"])
def test_blocks_come_whole_and_in_order(form, rng):
    X = rng.normal(size=(60, 3))
    blocks = reduce_rows([lazy(form, X)], as_list, join, name="test")
    np.testing.assert_array_equal([row for (block,) in blocks for row in block], X)


def test_partitions_come_as_frames(rng):
    X = rng.normal(size=(60, 3))
    frame = lazy("frame", X)
    blocks = reduce_rows([frame], lambda block: [block], join, name="test")
    assert len(blocks) == frame.npartitions
    assert all(list(block.columns) == names(3) for block in blocks)


def test_partitions_come_as_arrays_beside_others(rng):
    X = rng.normal(size=(60, 3))
    frame = lazy("frame", X)
    columns = reduce_rows([frame, frame["feature 1"]], lambda *parts: [parts], join, name="test")
    assert len(columns) == frame.npartitions
    for block, series in columns:
        np.testing.assert_array_equal(block[:, 1], series)


@pytest.mark.parametrize(
    "other",
    [
        lambda y: da.from_array(y, chunks=7),
        lambda y: da.from_array(y, chunks=17),
        lambda y: da.from_array(y, chunks=-1),
        lambda y: dd.from_pandas(pd.Series(y), npartitions=3),
        lambda y: da.from_array(np.r_[y[:1], y], chunks=9)[da.arange(61, chunks=9) > 0],
    ],
)
@pytest.mark.parametrize("form", ["many", "unknown", "frame"])
def test_misaligned_rows_are_aligned(form, other, rng):
    X = rng.normal(size=(60, 2))
    X[:, 1] = np.arange(60)
    blocks = reduce_rows([lazy(form, X), other(np.arange(60.0))], as_list, join, name="test")
    pairs = [(row[1], y) for rows, ys in blocks for row, y in zip(rows, ys, strict=True)]
    assert pairs == [(i, i) for i in range(60)]


def test_known_lengths_that_differ_are_refused_before_reading():
    loads = []
    X = counted(np.ones((60, 2)), 10, loads)
    with pytest.raises(LengthMismatch, match=r"60 rows but .* 61"):
        reduce_rows([X, da.ones(61, chunks=10)], as_list, join, name="test")
    assert loads == []


def test_unknown_lengths_that_differ_are_refused():
    X = da.ones((60, 2), chunks=(20, 2))
    fewer = X[da.arange(60, chunks=20) != 25]
    with pytest.raises(LengthMismatch, match=r"60 rows but .* 59"):
        reduce_rows([X, fewer], as_list, join, name="test")


def test_tree_depends_on_the_number_of_blocks_alone():
    X = da.from_array(np.arange(20).reshape(-1, 1), chunks=(1, 1))

    def label(block):
        return f"{block[0, 0]} "

    trees = set()
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=4):
            trees.add(reduce_rows([X], label, nested, name="test"))
    (tree,) = trees
    assert tree.replace("(", "").replace(")", "").split() == [str(i) for i in range(20)]
    parts = [_left_to_right(first, min(first + 8, 20)) for first in (0, 8, 16)]
    assert tree == f"(({parts[0]}{parts[1]}){parts[2]})"


def _left_to_right(first, last):
    tree = f"{first} "
    for index in range(first + 1, last):
        tree = f"({tree}{index} )"
    return tree


def test_few_blocks_are_held_at_a_time():
    held, most, lock = [0], [0], threading.Lock()

    class Partial:
        """Counts the partials that are alive."""

        def __init__(self, *_):
            with lock:
                held[0] += 1
                most[0] = max(most[0], held[0])

        def __del__(self):
            with lock:
                held[0] -= 1

    X = da.ones((512, 1), chunks=(1, 1))
    with dask.config.set(scheduler="threads", num_workers=2):
        reduce_rows([X], Partial, Partial, name="test")
    # Three levels of eight, and what two threads have in hand.
    assert most[0] <= 3 * 8 + 8


def test_blocks_do_not_outlive_their_kernel():
    """Loading and kernel are one task, so that no scheduler can load ahead of kernels."""
    keys = []

    class Keys(dask.callbacks.Callback):
        def _pretask(self, key, dsk, state):
            keys.append(key)

    loads = []
    X = counted(np.ones((60, 2)), 10, loads) + 1
    with Keys(), dask.config.set(scheduler="synchronous"):
        total = reduce_rows([X], lambda block: float(block.sum()), float.__add__, name="test")
    assert total == 240
    assert sorted(loads) == list(range(6))
    # No chunk is a task of its own.
    assert all("test-" in str(key) for key in keys), keys


def test_what_arrays_share_is_read_once():
    loads = []
    X = counted(np.ones((60, 2)), 10, loads)
    reduce_rows([X * 2, X[:, 0]], as_list, join, name="test")
    assert sorted(loads) == list(range(6))


@pytest.mark.usefixtures("client")
def test_on_a_cluster():
    X = np.random.default_rng(0).normal(size=(100, 3))
    total = reduce_rows([da.from_array(X, chunks=(7, 3))], _total, np.add, name="test")
    with dask.config.set(scheduler="synchronous"):
        alone = reduce_rows([da.from_array(X, chunks=(7, 3))], _total, np.add, name="test")
    assert total.tobytes() == alone.tobytes()


def _total(block):
    return block.sum(axis=0)
