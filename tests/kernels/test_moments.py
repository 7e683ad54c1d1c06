"""Second moments against NumPy in float64, in pieces, and far from zero."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.moments import MomentsKernel
from tests.kernels.alignment import misaligned
from tests.strategies import cuts, features, pieces, random_generators, rows_of, weights


@st.composite
def blocks(draw, dtypes=(np.float32, np.float64), integer=False):
    n, p, outputs = draw(st.integers(1, 60)), draw(st.integers(1, 5)), draw(st.integers(0, 3))
    X = draw(features(n, p, dtypes))
    rng = draw(random_generators())
    y = rng.normal(size=(n, outputs) if outputs else n) + 2.0
    return Block(X, y, draw(weights(n, integer=integer)))


def oracle(block, centre):
    weight = np.ones(block.n_rows) if block.weight is None else block.weight
    columns = np.hstack([block.X.astype(np.float64), block.targets])
    mean = weight @ columns / weight.sum() if centre else np.zeros(columns.shape[1])
    columns = columns - mean
    return weight.sum(), mean, columns.T @ (columns * weight[:, None])


def assert_close(left, right, rtol=1e-11):
    assert left.weight == pytest.approx(right.weight, rel=1e-13)
    assert left.n_rows == right.n_rows
    size = max(np.abs(right.products).max(), 1.0)
    np.testing.assert_allclose(left.mean, right.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(left.products, right.products, rtol=0, atol=rtol * size)


@given(blocks(), st.booleans())
def test_moments_are_those_of_the_definition(block, centre):
    moments = MomentsKernel(centre)(block)
    weight, mean, products = oracle(block, centre)
    allowed = 1e-12 if block.X.dtype == np.float64 else 2e-6
    size = max(np.abs(products).max(), 1.0)
    assert moments.weight == pytest.approx(weight)
    np.testing.assert_allclose(moments.mean, mean, rtol=allowed, atol=allowed)
    np.testing.assert_allclose(moments.products, products, rtol=0, atol=allowed * size)


@given(blocks(dtypes=(np.float64,)), st.booleans(), st.data())
def test_moments_do_not_depend_on_the_cut_into_blocks(block, centre, data):
    kernel = MomentsKernel(centre)
    sizes = data.draw(cuts(block.n_rows))
    partials = [kernel(each) for each in pieces(block, sizes)]
    assert_close(reduce(kernel.combine, partials), kernel(block))


@given(blocks(dtypes=(np.float64,)), st.booleans(), random_generators())
def test_moments_do_not_depend_on_the_order_of_rows(block, centre, rng):
    kernel = MomentsKernel(centre)
    assert_close(kernel(rows_of(block, rng.permutation(block.n_rows))), kernel(block))


@given(blocks(dtypes=(np.float64,), integer=True), st.booleans())
def test_an_integer_weight_is_a_row_that_stands_several_times(block, centre):
    kernel = MomentsKernel(centre)
    repeated = rows_of(block, np.repeat(np.arange(block.n_rows), block.weight.astype(int)))
    left, right = kernel(block), kernel(Block(repeated.X, repeated.y))
    left.n_rows = right.n_rows
    assert_close(left, right)


@given(blocks(dtypes=(np.float64,), integer=True), st.booleans())
def test_a_row_of_no_weight_is_absent(block, centre):
    kernel = MomentsKernel(centre)
    left, right = kernel(block), kernel(rows_of(block, block.weight > 0))
    left.n_rows = right.n_rows
    assert_close(left, right)


def test_a_block_of_no_weight_adds_nothing(rng):
    kernel = MomentsKernel(centre=True)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    some = Block(X[:10], y[:10])
    none = Block(X[10:] + 100.0, y[10:], np.zeros(10))
    expected = kernel(some)
    for left, right in ((some, none), (none, some)):
        joined = kernel.combine(kernel(left), kernel(right))
        joined.n_rows = expected.n_rows
        assert_close(joined, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mean_far_larger_than_the_spread_costs_no_digits(dtype, rng):
    n = 30_000
    X = (rng.normal(size=(n, 3)) + 1000.0).astype(dtype)
    y = rng.normal(size=n) + 1e6
    kernel = MomentsKernel(centre=True)
    parts = pieces(Block(X, y), (1, 999, 9000, 20_000))
    moments = reduce(kernel.combine, [kernel(each) for each in parts])
    _, mean, products = oracle(Block(X, y), centre=True)
    allowed = 1e-11 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(moments.products, products, rtol=0, atol=allowed * products.max())


def test_float32_sums_over_many_tiles_do_not_drift():
    n = 2**20
    X = np.full((n, 1), 0.1, dtype=np.float32)
    moments = MomentsKernel(centre=False)(Block(X, np.ones(n)))
    x = float(np.float32(0.1))
    np.testing.assert_allclose(moments.products, n * np.array([[x * x, x], [x, 1.0]]), rtol=5e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_always_shows(value, rng):
    X = rng.normal(size=(20, 3))
    X[13, 1] = value
    kernel = MomentsKernel(centre=True)
    with np.errstate(invalid="ignore"):
        assert not kernel.is_finite(kernel(Block(X, np.zeros(20))))


@pytest.mark.parametrize("offset", [4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_where_the_block_lies_in_memory(dtype, offset, rng):
    n, p = 5001, 37
    block = Block(rng.normal(size=(n, p)).astype(dtype), rng.normal(size=n), rng.uniform(0, 2, n))
    moved = Block(*(misaligned(each, offset) for each in (block.X, block.y, block.weight)))
    left, right = MomentsKernel(centre=True)(moved), MomentsKernel(centre=True)(block)
    np.testing.assert_array_equal(left.products, right.products)
    np.testing.assert_array_equal(left.mean, right.mean)
    assert left.weight == right.weight


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.0, 0.99, 1.01], ids=["zero", "near", "far"])
@pytest.mark.parametrize("selected", [slice(300, 4000), np.arange(4999, 0, -1)], ids=str)
def test_a_mean_near_zero_costs_no_digits_either(dtype, share, selected, rng):
    # Just below the largest mean with which rows are used as they are stored, and just above it.
    X = rng.normal(size=(5000, 5))
    X[:, 1] += share
    block = Block(X.astype(dtype), X @ rng.normal(size=5) + 50.0)
    moments = MomentsKernel(centre=True).of_rows(block, selected)
    _, expected, products = oracle(Block(block.X[selected], block.y[selected]), centre=True)
    allowed = 1e-13 if dtype == "float64" else 6e-7
    np.testing.assert_allclose(moments.mean, expected, rtol=allowed, atol=allowed)
    np.testing.assert_allclose(moments.products, products, rtol=0, atol=allowed * products.max())
    np.testing.assert_array_equal(moments.products, moments.products.T)
