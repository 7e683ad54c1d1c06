"""The Dask graph: one small task a block."""

from __future__ import annotations

import pickle

import dask
import numpy as np

import storage
from storage.blocks import BlockReader, block_array
from storage.entries import ChunkEntries, StoredChunk, expected_of
from storage.layout import ArrayLayout


def many_blocks(n_blocks=5_000):
    layout = ArrayLayout("X", "float32", 80_000 * n_blocks, (100,), 10_000)
    entries = ChunkEntries.from_chunks(
        StoredChunk(10_000, 3_999_000 + chunk, chunk, 0) for chunk in range(layout.n_chunks)
    )
    return block_array(BlockReader("/data/d", "0" * 32, layout, 80_000), entries)


def test_one_independent_task_a_block():
    array = many_blocks()
    graph = dict(array.__dask_graph__())
    assert set(graph) == {(array.name, block, 0) for block in range(5_000)}
    assert not any(task.dependencies for task in graph.values())
    assert max(len(pickle.dumps(task)) for task in graph.values()) < 600


def test_five_thousand_blocks_pickle_small_and_are_not_read_to_build():
    # Size and checksum of 40,000 chunks, and little beside.
    assert len(pickle.dumps(many_blocks())) < 64_000 + 40_000 * 8


def test_a_task_carries_the_entries_of_its_own_chunks():
    task = dict(many_blocks(50).__dask_graph__())[many_blocks(50).name, 7, 0]
    (argument,) = task.args
    index, expected = argument.value
    assert index == 7
    assert expected_of(expected) == [(3_999_000 + chunk, chunk) for chunk in range(56, 64)]


def test_row_wise_operations_join_the_loading_task():
    scaled = (many_blocks(50) - 1) * 2
    (optimised,) = dask.optimize(scaled)
    assert len(dict(optimised.__dask_graph__())) == 50


def test_same_data_set_is_the_same_array(tmp_path):
    X = np.ones((9, 2))
    one = storage.create_dataset(tmp_path / "d", X, X[:, 0])
    assert one.X.name == storage.open_dataset(tmp_path / "d").X.name
    two = storage.create_dataset(tmp_path / "e", X, X[:, 0])
    assert one.X.name != two.X.name
    assert one.X.name != one.y.name


def test_blocks_are_writable_and_independent(tmp_path):
    X = np.ones((9, 2))
    data = storage.create_dataset(tmp_path / "d", X, X[:, 0])
    block = data.X.blocks[0].compute()
    block[:] = 7
    np.testing.assert_array_equal(data.X.compute(), X)


def test_meta_and_dtype_are_those_of_the_blocks(tmp_path):
    data = storage.create_dataset(tmp_path / "d", np.ones((9, 2), "f4"), np.zeros(9, bool))
    for array in (data.X, data.y):
        block = array.blocks[0].compute()
        assert block.dtype == array.dtype == array._meta.dtype
        assert block.shape == array.shape
        assert block.flags.c_contiguous
