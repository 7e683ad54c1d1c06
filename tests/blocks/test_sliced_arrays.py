"""Of a large array in memory a slice travels with a block; what users make of it waits for them."""

from __future__ import annotations

import pickle

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import Ridge
from dlbd_estimators.blocks.dask_blocks import from_dask

ROWS = np.random.default_rng(0).normal(size=(12_000, 4))  # 384,000 bytes


def cut(n_rows):
    """One chunk that is cut into many, so that all blocks share it."""
    return da.from_array(ROWS, chunks=-1).rechunk((n_rows, -1))


def plus_one(block):
    return block + 1.0


def on_a_worker(block):
    from distributed import get_worker

    assert get_worker().address
    return block + 1.0


def beside_another(X):
    return X + da.ones(X.shape, chunks=X.chunks)


MADE = {
    "nothing": lambda X: X,
    "a function": lambda X: X.map_blocks(plus_one, dtype=float, meta=X._meta),
    "a sum": beside_another,
    "columns": lambda X: X[:, [3, 0]],
    "a mean": lambda X: X - X.mean(axis=0),
}


@pytest.mark.parametrize("make", MADE)
def test_a_block_carries_its_slice_alone(make):
    X = MADE[make](cut(1_000))
    blocks = from_dask(X, da.arange(12_000, chunks=1_000), None)
    part = blocks.select([3])
    assert len(cloudpickle.dumps(part)) < 60_000
    np.testing.assert_array_equal(part.load(3).X, X[3_000:4_000].compute())


@given(
    n_rows=st.integers(700, 12_000),
    make=st.sampled_from(sorted(MADE)),
    columns=st.permutations(range(4)),
    step=st.sampled_from([1, -1, 2]),
)
def test_cutting_changes_no_bit(n_rows, make, columns, step):
    X = MADE[make](cut(n_rows)[::step, list(columns)])
    blocks = from_dask(X, X[:, 0], None)
    found = np.concatenate([blocks.load(index).X for index in range(blocks.n_blocks)])
    np.testing.assert_array_equal(found, X.compute())


def test_functions_of_blocks_do_not_run_where_blocks_are_cut():
    ran = []

    def counted(block):
        ran.append(len(block))
        return block

    X = cut(1_000).map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
    from_dask(X, da.arange(12_000, chunks=1_000), None)
    assert ran == []


def test_functions_of_blocks_run_on_the_workers(client):  # noqa: ARG001 - they are the client's
    X = cut(3_000).map_blocks(on_a_worker, dtype=float, meta=np.empty((0, 0)))
    model = Ridge(alpha=0.0).fit(X, da.from_array(ROWS.sum(axis=1), chunks=3_000))
    np.testing.assert_allclose(model.coef_, np.ones(4), rtol=1e-9)


def test_rows_by_number_that_are_more_than_the_array_are_not_made():
    X = cut(12_000)[np.tile(np.arange(12_000), 3)]
    blocks = from_dask(X, X[:, 0], None)
    assert len(pickle.dumps(blocks)) < 3 * ROWS.nbytes
    np.testing.assert_array_equal(blocks.load(0).X, X.blocks[0].compute())
