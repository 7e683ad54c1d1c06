"""Passes in this process: the same bits as block by block, clear errors, nothing left behind."""

from __future__ import annotations

import threading

import dask
import dask.array as da
import numpy as np
import pytest

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine.cache import block_cache
from dlbd_estimators.engine.executor import bundle_depth, cache_share
from dlbd_estimators.engine.reduction_tree import reduce_range
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import BlockTooLarge, NonFiniteValues
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.packing import Packing
from tests.blocks.test_dask_blocks import uncomputable

PACKING = Packing(1, 3, True)
KERNEL = LinearKernel(HalfBinomialLoss(), PACKING, Order.HESSIAN, hessian_dtype="float32")
PARAMETERS = np.array([0.3, -1.0, 2.0, 0.1])


@pytest.fixture
def data(rng):
    X = rng.normal(size=(5000, 3))
    return X, (X[:, 0] > rng.normal(size=5000)).astype(float)


def lazy(data, rows=130):
    X, y = data
    return from_dask(da.from_array(X, chunks=(rows, 3)), da.from_array(y, chunks=1000), None)


def one_by_one(blocks):
    def evaluate(index):
        return KERNEL(blocks.load(index), PARAMETERS)

    return reduce_range(evaluate, KERNEL.combine, 0, blocks.n_blocks)


def assert_same_bits(left, right):
    assert left.value == right.value
    np.testing.assert_array_equal(left.gradient, right.gradient)
    np.testing.assert_array_equal(left.hessian, right.hessian)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(n_threads, data):
    blocks = lazy(data)
    expected = one_by_one(blocks)
    with ThreadExecutor(n_threads) as executor:
        for _ in range(3):  # the first pass fills the cache
            result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
            assert_same_bits(result.partial, expected)
            assert result.cost.n_tasks == min(2 ** bundle_depth(n_threads), blocks.n_blocks)


def test_arrays_in_memory_give_the_same_bits_on_any_number_of_threads(rng):
    X = rng.normal(size=(40_000, 3))
    blocks = from_arrays(X, (X[:, 1] > 0).astype(float), rng.uniform(size=40_000))
    assert blocks.n_blocks > 3
    expected = one_by_one(blocks)
    for n_threads in (1, 2, 7):
        with ThreadExecutor(n_threads) as executor:
            result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
        assert_same_bits(result.partial, expected)


def test_a_sample_evaluates_the_chosen_blocks(data):
    blocks = lazy(data)
    chosen = [1, 5, 6, 30]
    with ThreadExecutor(2) as executor:
        result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test", indices=chosen)
    assert result.partial.n_rows == sum(blocks.sizes[index] for index in chosen)


def test_one_kernel_serves_many_threads_and_keeps_its_partials_apart(data):
    blocks = lazy(data, rows=1000)
    loaded = [blocks.load(index) for index in range(blocks.n_blocks)]
    expected = [KERNEL(block, PARAMETERS) for block in loaded]
    before = [each.gradient.copy() for each in expected]
    results = [None] * 40

    def work(thread):
        for i in range(thread, 40, 4):
            results[i] = KERNEL(loaded[i % len(loaded)], PARAMETERS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, result in enumerate(results):
        assert_same_bits(result, expected[i % len(loaded)])
    for each, gradient in zip(expected, before, strict=True):
        np.testing.assert_array_equal(each.gradient, gradient)


def test_bytes_are_counted_and_cached_blocks_are_not_read_again(data):
    X, y = data
    reads = []

    def read(block):
        reads.append(len(block))
        return block + 0.0

    array = da.from_array(X, chunks=(500, 3)).map_blocks(read, meta=np.empty((0, 0)))
    blocks = from_dask(array, da.from_array(y, chunks=500) * 1.0, None)
    with ThreadExecutor(2) as executor:
        first = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
        second = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
    assert first.cost.bytes_read == X.nbytes + y.nbytes
    assert (first.cost.cache_hits, second.cost.cache_hits) == (0, 10)
    assert second.cost.bytes_read == 0
    assert len(reads) == 10
    assert block_cache._fits == {}  # leaving the executor freed them


def test_the_cache_can_be_switched_off(data):
    X, y = data
    array = da.from_array(X, chunks=(500, 3)) + 0.0
    blocks = from_dask(array, da.from_array(y, chunks=500) * 1.0, None)
    with dask.config.set({"dlbd-estimators.cache-share": 0}), ThreadExecutor(2) as executor:
        for _ in range(2):
            result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
            assert result.cost.bytes_read == X.nbytes + y.nbytes
            assert result.cost.cache_hits == 0


@pytest.mark.parametrize("share", [-0.1, 0.6, "a lot", None])
def test_a_wrong_cache_share_is_refused(share):
    with (
        dask.config.set({"dlbd-estimators.cache-share": share}),
        pytest.raises(ValueError, match=r"cache-share must be a number from 0 to 0\.5"),
    ):
        cache_share()


def test_an_error_in_a_block_ends_the_pass(data):
    X, y = data
    X[777, 1] = np.nan
    with (
        ThreadExecutor(2) as executor,
        pytest.raises(NonFiniteValues, match=r"NaN at row 127 of block 5 .*, column 1"),
    ):
        executor.map_reduce(KERNEL, PARAMETERS, lazy((X, y)), name="test")


def test_a_block_too_large_is_refused_before_it_is_read(monkeypatch):
    array = uncomputable(10_000, 10, chunks=(5000, 10))
    blocks = from_dask(array, da.zeros(10_000, chunks=5000), None)
    with ThreadExecutor(2) as executor:
        monkeypatch.setattr(executor, "memory", lambda: (2**20, 2))
        with pytest.raises(BlockTooLarge, match=r"X\.rechunk\(\{0: (\d+)\}\)") as error:
            executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
        rows = int(str(error.value).split("{0: ")[1].split("}")[0])
        fitting = from_dask(da.zeros((10_000, 10), chunks=(rows, 10)), da.zeros(10_000), None)
        executor.map_reduce(
            LinearKernel(HalfBinomialLoss(), Packing(1, 10, False)), np.zeros(10), fitting, name="x"
        )
    assert isinstance(error.value, MemoryError)
    assert "storage.create_dataset(..., block_nbytes=131072)" in str(error.value)


def test_memory_set_by_hand_counts(data):
    array = uncomputable(10_000, 10, chunks=(5000, 10))
    blocks = from_dask(array, da.zeros(10_000, chunks=5000), None)
    with (
        dask.config.set({"dlbd-estimators.memory": "1MiB"}),
        ThreadExecutor(2) as executor,
        pytest.raises(BlockTooLarge, match=r"worker with 1 MiB of memory and 2 thread"),
    ):
        executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
    # Enough to work on blocks, and to keep a single one.
    X, y = data
    array = da.from_array(X, chunks=(500, 3)) + 0.0
    blocks = from_dask(array, da.from_array(y, chunks=500) * 1.0, None)
    with dask.config.set({"dlbd-estimators.memory": "100 kB"}), ThreadExecutor(2) as executor:
        results = [executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test") for _ in range(2)]
    assert [result.cost.cache_hits for result in results] == [0, 1]


def test_the_executor_is_dasks_own_choice(data):
    blocks = lazy(data)
    with dask.config.set(scheduler="synchronous"), executor_for(blocks) as executor:
        assert isinstance(executor, ThreadExecutor)
        result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
        assert result.cost.n_tasks == 2 ** bundle_depth(1)
    with dask.config.set(scheduler="threads", num_workers=3), executor_for(blocks) as executor:
        result = executor.map_reduce(KERNEL, PARAMETERS, blocks, name="test")
        assert result.cost.n_tasks == 2 ** bundle_depth(3)


def test_no_threads_stay_behind(data):
    before = set(threading.enumerate())
    with ThreadExecutor(3) as executor:
        executor.map_reduce(KERNEL, PARAMETERS, lazy(data), name="test")
    assert set(threading.enumerate()) <= before
