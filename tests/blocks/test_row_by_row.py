"""Blocks whose tasks are made when they are read, against Dask's own computation of them."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import Ridge
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.blocks.row_by_row import LARGE_NBYTES, RowLoader, row_loader

VALUES = np.random.default_rng(0).normal(size=(40, 3))
CHUNKS = ((7, 0, 20, 13), (3,))


def stored(values=VALUES, chunks=CHUNKS):
    array = zarr.create_array({}, shape=values.shape, chunks=(5, *values.shape[1:]), dtype="f8")
    array[:] = values
    return da.from_zarr(array, chunks=chunks)


def numbered(block, block_id=None, block_info=None):
    start = block_info[0]["array-location"][0][0]
    return block + block_id[0] + start


def first_column(block):
    return block[:, 0]


def row_sums(block):
    return block.sum(axis=1)


X = stored()
ROW_BY_ROW = {
    "zarr": lambda: [X],
    "zeros": lambda: [da.zeros((40, 3), chunks=CHUNKS), da.ones(40, chunks=CHUNKS[:1])],
    "scaled": lambda: [(X - 1) / np.array([1.0, 2.0, 3.0])[0], X[:, 0] > 0],
    "squared": lambda: [X * X, X.map_blocks(first_column, drop_axis=1, dtype=float)],
    "two sources": lambda: [X, stored(VALUES[:, 0], CHUNKS[:1]), stored(VALUES[:, 1], CHUNKS[:1])],
    "slices of one": lambda: [X[:, 1:], X[:, 0]],
    "numbered": lambda: [X.map_blocks(numbered, dtype=float)],
    "turned twice": lambda: [X.T.T],
    "one chunk": lambda: [stored(chunks=(-1, -1)), stored(VALUES[:, 0], (-1,))],
    "small array": lambda: [da.from_array(VALUES, chunks=CHUNKS)],
    "in memory": lambda: [X.persist(scheduler="sync")],
    "columns of a row": lambda: [
        da.blockwise(row_sums, "i", stored(chunks=(10, 1)), "ij", concatenate=True, dtype=float)
    ],
    "stored row beside all": lambda: [X + stored(VALUES[:1], (1, 3))],
    "source of sums": lambda: [X, X.map_blocks(row_sums, drop_axis=1, dtype=float)],
}
IN_COMMON = {
    "mean": lambda: [X - X.mean(axis=0)],
    "recut": lambda: [X.rechunk({0: 9})],
    "turned": lambda: [stored(VALUES.T.copy(), ((3,), (10, 30))).T.rechunk({0: 10})],
    "delayed argument": lambda: [X.map_blocks(np.add, dask.delayed(float)(2), dtype=float)],
    "large array": lambda: [
        da.from_array(np.zeros((LARGE_NBYTES // 8, 1)), chunks=(1000, 1), lock=True)
    ],
    "chunk of all": lambda: [X + stored(VALUES[:1], (1, 3)).persist(scheduler="sync")],
    "columns": lambda: [stored(chunks=(10, 1))],
    "one slice": lambda: [X[:, 1:]],
}


@pytest.mark.parametrize("form", ROW_BY_ROW)
def test_blocks_are_those_that_dask_computes(form):
    arrays = ROW_BY_ROW[form]()
    rows = [row for row, size in enumerate(arrays[0].chunks[0]) if size]
    loader = row_loader(arrays, rows)
    assert isinstance(loader, RowLoader)
    last = len(rows) - 1
    some = pickle.loads(pickle.dumps(loader.select([last, 0])))
    again = pickle.loads(pickle.dumps(some.select([last])))
    for index, row in enumerate(rows):
        expected = [each.blocks[row].compute(scheduler="sync") for each in arrays]
        readers = [
            loader,
            *([some] if index in (0, last) else []),
            *([again] if index == last else []),
        ]
        for reader in readers:
            for value, right in zip(reader.values(index), expected, strict=True):
                assert value.dtype == right.dtype
                np.testing.assert_array_equal(value, right)
    if len(rows) > 2:
        with pytest.raises(KeyError):
            some.values(1)


@pytest.mark.parametrize("form", IN_COMMON)
def test_blocks_with_more_in_common_are_left_to_the_whole_graph(form):
    assert row_loader(IN_COMMON[form](), [0]) is None


def test_another_optimisation_of_the_users_is_kept():
    with dask.config.set(array_optimize=da.optimize):
        assert row_loader([X], [0]) is None


@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=50).filter(any),
    scale=st.floats(-2, 2),
    chosen=st.data(),
)
def test_any_blocks_in_any_order(sizes, scale, chosen):
    """More blocks than are made at once, of which a part is read, as a worker does."""
    values = np.arange(2.0 * sum(sizes)).reshape(-1, 2)
    lazy = stored(values, (tuple(sizes), 2)) * scale
    blocks = from_dask(lazy, lazy[:, 1], None)
    indices = chosen.draw(st.permutations(range(blocks.n_blocks)))
    part = pickle.loads(pickle.dumps(blocks.select(indices[: len(indices) // 2])))
    starts = np.cumsum([0, *(size for size in sizes if size)])
    for place, index in enumerate(indices):
        reader = part if place < len(indices) // 2 else blocks
        block = reader.load(index)
        right = values[starts[index] : starts[index + 1]] * scale
        np.testing.assert_array_equal(block.X, right)
        np.testing.assert_array_equal(np.asarray(block.y).ravel(), right[:, 1])


def test_what_is_shared_by_columns_is_read_once():
    reads = []

    def load(block_id):
        reads.append(block_id[0])
        return np.full((4, 2), float(block_id[0]))

    source = da.map_blocks(load, chunks=((4,) * 30, (2,)), dtype=float, meta=np.empty((0, 0)))
    loader = row_loader([source[:, 1:], source[:, 0]], range(30))
    for index in range(30):
        loader.values(index)
    assert reads == list(range(30))


def test_a_bundle_of_many_blocks_carries_only_its_own():
    n_blocks = 20_000
    arrays = [da.zeros((n_blocks, 3), chunks=(1, 3)) + 1, da.zeros(n_blocks, chunks=1)]
    loader = row_loader(arrays, range(n_blocks))
    part = loader.select(range(500, 510))
    assert len(pickle.dumps(part)) < 5_000
    np.testing.assert_array_equal(part.values(505)[0], np.ones((1, 3)))


def test_a_fit_writes_out_no_graph_of_the_users():
    features, target = da.zeros((40, 3), chunks=(1, 3)), da.ones(40, chunks=1)
    with dask.config.set(scheduler="sync"):
        Ridge().fit(features, target)
    for array in (features, target):
        assert not array.dask.layers[array.name].is_materialized()
