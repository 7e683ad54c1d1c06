"""One pass over aligned rows: every block once, a fixed tree, few blocks in memory."""

from __future__ import annotations

import threading
import weakref

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.engine.column_passes import (
    block_lengths,
    each_block,
    reduce_rows,
    with_lengths,
)
from dlbd_estimators.exceptions import BlockTooLarge, LengthMismatch
from tests.blocks.test_dask_blocks import unknown
from tests.preprocessing.lazy_forms import ARRAYS, counted, lazy, names
from tests.strategies import cuts


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
    assert tree == _halved(0, 20)


def _halved(start, stop):
    if stop - start == 1:
        return f"{start} "
    middle = (start + stop) // 2
    return f"({_halved(start, middle)}{_halved(middle, stop)})"


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
    # Eight bundles, and of 64 blocks what two threads have in hand: one a level, and one more.
    assert most[0] <= 8 + 2 * (6 + 2)


def test_blocks_do_not_outlive_their_kernel():
    """A thread holds the block it works on, the next one, and one that waits to be freed."""
    alive, most, loads = [], [0], []

    class Watched(np.ndarray):
        """Views keep their owner alive, and only arrays of a class of one's own can be watched."""

    def watch(block):
        alive[:] = [each for each in alive if each() is not None]
        block = block.view(Watched)
        alive.append(weakref.ref(block))
        most[0] = max(most[0], len(alive))
        return block

    X = counted(np.ones((600, 2)), 10, loads).map_blocks(watch, meta=np.empty((0, 2)))
    with dask.config.set(scheduler="synchronous"):
        total = reduce_rows([X], lambda block: float(block.sum()), float.__add__, name="test")
    assert total == 1200
    assert sorted(loads) == list(range(60))
    assert most[0] <= 3


def test_values_of_blocks_come_in_order():
    X = da.from_array(np.arange(60), chunks=((7, 0, 40, 13),))
    values = each_block(X, lambda number, block: (number, len(block)), name="test", called="y")
    assert values == [(0, 7), (1, 0), (2, 40), (3, 13)]


def test_a_block_that_is_too_large_is_refused_before_it_is_read():
    loads = []
    X = counted(np.ones((600, 2)), 300, loads)
    memory = {"dlbd-estimators.memory": 10_000, "num_workers": 1}
    with dask.config.set(memory), pytest.raises(BlockTooLarge, match=r"A block of y_pred takes"):
        reduce_rows([X], as_list, join, name="test", names=["y_pred"])
    assert loads == []


def test_what_arrays_share_is_read_once():
    loads = []
    X = counted(np.ones((60, 2)), 10, loads)
    reduce_rows([X * 2, X[:, 0]], as_list, join, name="test")
    assert sorted(loads) == list(range(6))


@given(st.data())
def test_rows_of_any_chunking_stay_together_and_in_order(data):
    n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    table = np.arange(n * p).reshape(n, p)
    arrays = []
    for columns in [data.draw(cuts(p, empty=False)), *[(p,)] * data.draw(st.integers(0, 2))]:
        array = da.from_array(table, chunks=(data.draw(cuts(n)), columns))
        arrays.append(unknown(array) if data.draw(st.booleans()) else array)
    with dask.config.set(scheduler="threads", num_workers=data.draw(st.integers(1, 3))):
        blocks = reduce_rows(arrays, as_list, join, name="test")
    for column in zip(*blocks, strict=True):
        assert [row for rows in column for row in rows] == table.tolist()


@given(st.data())
def test_lengths_of_blocks_are_counted(data):
    arrays = []
    for _ in range(data.draw(st.integers(0, 3))):
        n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
        rows, columns = data.draw(cuts(n)), data.draw(cuts(p, empty=False))
        arrays.append(da.zeros((n, p), chunks=(rows, columns)))
    expected = [each.chunks[0] for each in arrays]
    with dask.config.set(scheduler="synchronous"):
        assert block_lengths(*map(unknown, arrays)) == expected
        assert [each.chunks[0] for each in with_lengths(*map(unknown, arrays))] == expected


def test_lengths_of_arrays_are_counted_in_one_pass_over_what_they_share():
    loads = []
    X = counted(np.ones((60, 2)), 10, loads)
    assert block_lengths(unknown(X), X[:, 1]) == [(10,) * 6] * 2
    assert sorted(loads) == list(range(6))


def test_lengths_of_partitions_are_counted_beside_those_of_chunks():
    frame = dd.from_pandas(pd.DataFrame({"a": np.arange(50)}), npartitions=4)
    frame = frame[frame["a"] % 20 > 0]
    expected = tuple(len(part) for part in dask.compute(*frame.to_delayed()))
    found = block_lengths(*merge_graphs(frame, frame["a"]), da.zeros(9, chunks=4))
    assert found == [expected, expected, (4, 4, 1)]


@pytest.mark.usefixtures("client")
def test_on_a_cluster():
    X = np.random.default_rng(0).normal(size=(100, 3))
    total = reduce_rows([da.from_array(X, chunks=(7, 3))], _total, np.add, name="test")
    with dask.config.set(scheduler="synchronous"):
        alone = reduce_rows([da.from_array(X, chunks=(7, 3))], _total, np.add, name="test")
    assert total.tobytes() == alone.tobytes()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["persisted array", "persisted frame", "shuffled frame"])
def test_rows_that_lie_on_a_cluster(kind, client):  # noqa: ARG001
    X = np.random.default_rng(0).normal(size=(100, 3))
    frame = dd.from_pandas(pd.DataFrame(X, columns=names(3)), npartitions=6)
    lazy = {
        "persisted array": da.from_array(X, chunks=(7, 3)).persist,
        "persisted frame": frame.persist,
        "shuffled frame": lambda: frame.assign(key=frame[names(1)[0]].round(1)).shuffle("key"),
    }[kind]()
    # What lies on the workers comes as inputs of tasks; what a shuffle hands out is kept there.
    total = reduce_rows([lazy], _total, np.add, name="test")
    np.testing.assert_allclose(np.asarray(total)[:3], X.sum(axis=0), rtol=1e-12)
    both = reduce_rows([lazy, lazy], _totals, np.add, name="test")
    np.testing.assert_allclose(both[:3], 2 * X.sum(axis=0), rtol=1e-12)


def _totals(left, right):
    return left.sum(axis=0) + right.sum(axis=0)


def _total(block):
    return block.sum(axis=0)
