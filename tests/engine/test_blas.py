"""One BLAS thread while anyone is inside, and what was there before afterwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dlbd_estimators.engine.blas import single_threaded_blas, thread_count
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.kernel import Kernel


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS does not run on two threads")
        yield


def test_limits_inside_and_restores_after():
    with single_threaded_blas:
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_nested_use_is_limited_until_the_last_leaves():
    with single_threaded_blas:
        with single_threaded_blas:
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_restores_after_an_error():
    with pytest.raises(ZeroDivisionError), single_threaded_blas:
        1 / 0  # noqa: B018 - raises
    assert blas_threads() == {2}


def test_threads_that_overlap_share_the_limit():
    first_left, second_inside = threading.Event(), threading.Event()

    def first():
        with single_threaded_blas:
            second_inside.wait(10)
        first_left.set()

    def second():
        with single_threaded_blas:
            second_inside.set()
            assert first_left.wait(10)
            return blas_threads()

    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(first)
        assert pool.submit(second).result(20) == {1}
        other.result(20)
    assert blas_threads() == {2}


@pytest.mark.parametrize("limit", [1, 2])
def test_the_count_is_what_a_user_limits(limit):
    with threadpool_limits(limit, user_api="blas"):
        assert thread_count() == limit
        with single_threaded_blas:
            assert thread_count() == 1
        assert thread_count() == limit


class _BlasThreads(Kernel):
    def __call__(self, block, parameters):
        return blas_threads()

    def combine(self, left, right):
        return left | right

    def is_finite(self, partial):
        return True


@pytest.mark.parametrize("rows", [10, 300_000])
def test_a_kernel_runs_on_one_blas_thread(rows):
    from dlbd_estimators.blocks.block import from_arrays

    blocks = from_arrays(np.ones((rows, 1)), np.ones(rows), None)
    with ThreadExecutor(2) as executor:
        result = executor.map_reduce(_BlasThreads(), None, blocks, name="test")
    assert result.partial == {1}
    assert blas_threads() == {2}
