"""The network's sums over rows do not depend on how the rows are cut, ordered or repeated."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlbd_estimators.kernels.network_kernels as kernels_module
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.network_kernels import NetworkKernel
from tests.kernels.plain_network import assert_close, evaluated, rounding
from tests.strategies import cuts, networks, pieces, random_generators, rows_of


def assert_same_sums(left, right, allowed=1e-11):
    assert left.value == pytest.approx(right.value, rel=allowed, abs=allowed)
    assert left.weight == pytest.approx(right.weight)
    assert left.gradient.dtype == np.float64
    assert_close(left.gradient, right.gradient, allowed)


@given(networks())
def test_kernel_sums_the_losses_without_the_penalty(problem):
    sums = NetworkKernel(problem.network)(problem.block, problem.parameters.astype(np.float64))
    bare = Network(problem.network.layers, problem.network.activation, problem.network.loss)
    value, gradient = evaluated(problem._replace(network=bare))
    n_rows, weight = problem.block.n_rows, problem.block.weight
    assert sums.value == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(sums.gradient, gradient, rtol=1e-12)
    assert sums.weight == (n_rows if weight is None else weight.sum())
    assert sums.n_rows == n_rows


@given(networks(), st.data())
def test_sums_do_not_depend_on_the_cut_into_blocks(problem, data):
    kernel = NetworkKernel(problem.network)
    whole = kernel(problem.block, problem.parameters)
    blocks = pieces(problem.block, data.draw(cuts(problem.block.n_rows)))
    partials = [kernel(each, problem.parameters) for each in data.draw(st.permutations(blocks))]
    sums = reduce(kernel.combine, partials)
    assert_same_sums(sums, whole, rounding(problem))
    assert sums.n_rows == whole.n_rows


@given(networks(), st.integers(1, 7))
def test_sums_do_not_depend_on_the_tiles(problem, rows):
    kernel = NetworkKernel(problem.network)
    whole = kernel(problem.block, problem.parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_module, "tile_rows", lambda *_: rows)
        assert_same_sums(kernel(problem.block, problem.parameters), whole, rounding(problem))


@given(networks(), random_generators())
def test_sums_do_not_depend_on_the_order_of_rows(problem, rng):
    kernel = NetworkKernel(problem.network)
    shuffled = rows_of(problem.block, rng.permutation(problem.block.n_rows))
    whole = kernel(problem.block, problem.parameters)
    assert_same_sums(kernel(shuffled, problem.parameters), whole, rounding(problem))


@given(networks(integer_weights=True))
def test_an_integer_weight_is_a_row_that_stands_several_times(problem):
    kernel = NetworkKernel(problem.network)
    count = problem.block.weight.astype(int)
    repeated = rows_of(problem.block, np.repeat(np.arange(len(count)), count))
    left = kernel(problem.block, problem.parameters)
    right = kernel(Block(repeated.X, repeated.y), problem.parameters)
    assert_same_sums(left, right, rounding(problem))


@given(networks(integer_weights=True))
def test_a_row_of_no_weight_is_absent(problem):
    kernel = NetworkKernel(problem.network)
    present = rows_of(problem.block, problem.block.weight > 0)
    left = kernel(problem.block, problem.parameters)
    assert_same_sums(left, kernel(present, problem.parameters), rounding(problem))


@given(networks())
def test_an_empty_block_adds_nothing(problem):
    kernel = NetworkKernel(problem.network)
    empty = kernel(rows_of(problem.block, slice(0, 0)), problem.parameters)
    assert kernel.is_finite(empty)
    assert (empty.value, empty.weight, empty.n_rows) == (0.0, 0.0, 0)
    assert not empty.gradient.any()


@given(networks(min_rows=2), st.sampled_from([np.nan, np.inf, -np.inf]), random_generators())
def test_a_value_that_is_not_finite_always_shows(problem, value, rng):
    kernel = NetworkKernel(problem.network)
    assert kernel.is_finite(kernel(problem.block, problem.parameters))
    X = problem.block.X
    X[rng.integers(X.shape[0]), rng.integers(X.shape[1])] = value
    with np.errstate(all="ignore"):
        assert not kernel.is_finite(kernel(problem.block, problem.parameters))
