"""Partials that are packed and unpacked have the same bits, in memory of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine import symmetric_halves
from dlbd_estimators.engine.bundle import BundleResult
from dlbd_estimators.engine.cost import Cost
from dlbd_estimators.engine.held_partials import Held, held_if_large, join_held, large_nbytes
from dlbd_estimators.engine.symmetric_halves import Half, is_symmetric, nbytes, pack, unpack
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.moments import MomentsKernel
from dlbd_estimators.kernels.orthogonal import TriangleKernel
from tests.strategies import random_generators

SPECIAL = (np.nan, np.inf, -0.0, 0.0, 5e-324)


class Named(NamedTuple):
    array: Any
    number: float


@dataclass(frozen=True)
class Partial:
    matrices: Any
    inner: Any
    weight: float = 1.0


@st.composite
def symmetric(draw):
    """Matrices with special values, of sizes around those of tiles; one alone or a stack."""
    rng = draw(random_generators())
    n = draw(st.sampled_from([64, 65, 127, 128, 129, 200, 300]))
    shape = draw(st.sampled_from([(), (1,), (3,), (0,)]))
    array = rng.normal(size=(*shape, n, n)).astype(draw(st.sampled_from([np.float32, np.float64])))
    array[..., rng.integers(0, n, 5), rng.integers(0, n, 5)] = SPECIAL
    return np.where(np.tri(n, dtype=bool), array, array.swapaxes(-1, -2))


def bits(array):
    return array.view(np.uint32 if array.itemsize == 4 else np.uint64)


@given(symmetric())
def test_halves_of_symmetric_matrices_make_the_same_bits(array):
    assert is_symmetric(array)
    half = Half.of(array)
    n = array.shape[-1]
    assert half.upper.nbytes * 2 * n == array.nbytes * (n + 1)
    whole = half.full_matrices()
    assert whole.dtype == array.dtype
    assert whole.flags.c_contiguous
    np.testing.assert_array_equal(bits(whole), bits(array))


class FilledMemory:
    """NumPy, but new memory holds 7 everywhere: otherwise it may hold the expected numbers."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def empty(shape, dtype):
        return np.full(shape, 7, dtype)


@pytest.mark.parametrize("n", [64, 129, 300])
def test_each_entry_of_a_whole_matrix_is_written(n, rng, monkeypatch):
    monkeypatch.setattr(symmetric_halves, "np", FilledMemory())
    root = rng.normal(size=(2, n, n))
    array = root + root.swapaxes(1, 2)
    half = Half.of(array)
    assert half.upper[0, : n + 2].tolist() == [*array[0, 0], *array[0, 1, 1:3]]
    np.testing.assert_array_equal(half.full_matrices(), array)


@given(symmetric(), st.data())
def test_a_single_bit_that_differs_makes_no_half(array, data):
    if array.size:
        n = array.shape[-1]
        i = data.draw(st.integers(1, n - 1))
        j = data.draw(st.integers(0, i - 1))
        bits(array)[..., i, j] ^= np.asarray(1, bits(array).dtype)
        assert not is_symmetric(array)
        np.testing.assert_array_equal(bits(unpack(pack(array))), bits(array))


def test_zeros_of_either_sign_are_no_halves_of_each_other():
    array = np.zeros((64, 64))
    array[3, 5] = -0.0
    assert not is_symmetric(array)


def test_other_arrays_stay_as_they_are():
    square = np.ones((100, 100))
    for array in (
        square[:50, :50],
        square[:63, :63].copy(),
        np.asfortranarray(np.ones((2, 100, 100))),
        square.astype(int),
        square[0],
        np.ones((100, 99)),
    ):
        assert not is_symmetric(array)
        assert pack(array) is array


@given(symmetric())
def test_any_tree_of_arrays_comes_back_in_memory_of_its_own(array):
    rest = np.arange(3.0)
    whole = Partial(array, {"a": [Named(array, 2.0), (rest, None)]})
    packed = pack(whole)
    assert isinstance(packed.inner["a"][0], Named)
    assert nbytes(whole) == 2 * array.nbytes + rest.nbytes
    assert nbytes(packed) == 2 * packed.matrices.upper.nbytes + rest.nbytes
    for _ in range(2):  # what was done to one does not show in the next
        again = unpack(packed)
        assert again.weight == 1.0
        assert again.inner["a"][1][1] is None
        assert again.inner["a"][0].number == 2.0
        np.testing.assert_array_equal(bits(again.matrices), bits(array))
        np.testing.assert_array_equal(bits(again.inner["a"][0].array), bits(array))
        np.testing.assert_array_equal(again.inner["a"][1][0], [0, 1, 2])
        again.matrices[...] = 7.0
        again.inner["a"][1][0][...] = 7.0


@given(random_generators(), st.sampled_from([MomentsKernel(True), TriangleKernel(True)]))
def test_what_is_held_is_joined_to_the_same_bits_and_left_as_it_was(rng, kernel):
    def partials():
        blocks = [Block(X, X[:, 0] ** 2) for X in np.split(data, 2)]
        parameters = np.zeros(71) if isinstance(kernel, TriangleKernel) else None
        return [kernel(block, parameters) for block in blocks]

    data = rng.normal(size=(20, 70))
    expected = kernel.combine(*partials())
    held = [held_if_large(BundleResult(each, Cost(1, seconds=1.0)), 0) for each in partials()]
    for _ in range(2):  # Dask may run a task again
        joined = join_held(kernel, *held)
        found = joined.result()
        for mine, other in zip(arrays_of(found.partial), arrays_of(expected), strict=True):
            np.testing.assert_array_equal(mine, other)
        assert found.cost.n_tasks == 2
        assert found.cost.seconds > 2.0


def arrays_of(partial):
    if isinstance(partial, np.ndarray):
        return [partial]
    return [partial.origin, partial.rest, partial.products, np.array(partial.weight)]


def test_small_partials_go_to_the_client():
    small = BundleResult(np.zeros((100, 100)), Cost())
    assert held_if_large(small, 80_001) is small
    large = held_if_large(small, 80_000)
    assert isinstance(large, Held)
    # The scheduler is told what it takes.
    assert 40_000 < sys.getsizeof(large) < 42_000


def test_a_pass_brings_little_to_the_client_however_many_bundles_it_has():
    for n_bundles in range(1, 5000):
        assert 2**20 <= large_nbytes(n_bundles) <= max(2**20, 2**25 // n_bundles)
