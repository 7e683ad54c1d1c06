"""The room for a matrix of a pass is what a pass that sums such matrices takes."""

from __future__ import annotations

import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine.executor import bundle_depth
from dlbd_estimators.engine.matrices import matrix_room
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.moments import MomentsKernel
from dlbd_estimators.kernels.packing import Packing

P, ROWS = 500, 8

KERNELS = [
    (MomentsKernel(True), None),
    (
        LinearKernel(HalfSquaredError(), Packing(1, P, True), Order.HESSIAN, own_centre=True),
        np.zeros(P + 1),
    ),
]


def blocks_of(n_blocks):
    X = da.random.default_rng(0).normal(size=(n_blocks * ROWS, P), chunks=(ROWS, P))
    return from_dask(X, X[:, 0], None)


@pytest.mark.parametrize(("kernel", "parameters"), KERNELS)
@pytest.mark.parametrize(("n_threads", "n_blocks"), [(1, 1), (1, 64), (2, 16), (2, 128)])
def test_a_pass_takes_no_more_than_it_is_given(kernel, parameters, n_threads, n_blocks):
    blocks = blocks_of(n_blocks)
    matrix = 8 * (P + 1) ** 2
    with ThreadExecutor(n_threads) as executor:
        room = executor.matrix_room(blocks)
        executor.map_reduce(kernel, parameters, blocks, name="test")  # what is kept for later
        tracemalloc.start()
        try:
            executor.map_reduce(kernel, parameters, blocks, name="test")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    given = room.threads * room.copies * matrix
    assert given / 4 < peak < given + 2**21  # and the blocks


@given(st.integers(1, 2**40), st.integers(1, 64), st.integers(1, 5000), st.integers(1, 100))
def test_more_memory_makes_more_room_and_more_threads_less(limit, threads, n_blocks, workers):
    room = matrix_room(limit, threads, n_blocks, bundle_depth(threads * workers))
    assert 1 <= room.threads <= threads
    assert room.nbytes * room.threads * room.copies <= limit / 2
    assert matrix_room(2 * limit, threads, n_blocks, 3).nbytes >= room.nbytes or workers > 1
    wider = matrix_room(limit, 2 * threads, n_blocks, bundle_depth(threads * workers))
    assert wider.nbytes <= room.nbytes


def test_the_memory_set_by_hand_counts():
    with dask.config.set({"dlbd-estimators.memory": "100MiB"}), ThreadExecutor(2) as executor:
        room = executor.matrix_room(blocks_of(64))
        assert room.limit == 100 * 2**20
        assert room.threads == 2
        assert room.nbytes == 50 * 2**20 // (2 * room.copies)
