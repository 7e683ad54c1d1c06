"""The triangular factor: R^T R is the matrix of products, however the rows are cut."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.orthogonal import TriangleKernel
from tests.kernels.alignment import misaligned
from tests.kernels.test_moments import blocks
from tests.strategies import cuts, pieces


def width(block):
    return block.X.shape[1] + block.targets.shape[1]


def columns_of(block, centre, constant):
    columns = np.hstack([block.X.astype(np.float64), block.targets]) - centre
    if constant:
        columns = np.hstack([np.ones((block.n_rows, 1)), columns])
    return columns if block.weight is None else columns * np.sqrt(block.weight)[:, None]


@given(blocks(), st.booleans(), st.data())
def test_triangles_have_the_products_of_the_columns(block, constant, data):
    kernel = TriangleKernel(constant)
    centre = np.linspace(-1, 1, width(block))
    sizes = data.draw(cuts(block.n_rows))
    partials = [kernel(each, centre) for each in pieces(block, sizes)]
    triangle = reduce(kernel.combine, partials)
    columns = columns_of(block, centre, constant)
    products = columns.T @ columns
    assert triangle.shape == products.shape
    np.testing.assert_array_equal(triangle, np.triu(triangle))
    size = max(np.abs(products).max(), 1.0)
    np.testing.assert_allclose(triangle.T @ triangle, products, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_rest_of_the_factor_is_centred_exactly(weighted, rng):
    n = 1000
    X, y = rng.normal(size=(n, 3)) + 50.0, rng.normal(size=n)
    block = Block(X, y, rng.uniform(0, 2, n) if weighted else None)
    centre = np.array([49.0, 51.0, 50.0, 0.0])
    triangle = TriangleKernel(constant=True)(block, centre)
    weight = np.ones(n) if block.weight is None else block.weight
    mean = weight @ np.column_stack([X, y]) / weight.sum()
    np.testing.assert_allclose(centre + triangle[0, 1:] / triangle[0, 0], mean, rtol=1e-12)
    centred = columns_of(block, mean, constant=False)
    rest = triangle[1:, 1:]
    np.testing.assert_allclose(rest.T @ rest, centred.T @ centred, atol=1e-9)


def test_singular_values_survive_a_condition_that_products_would_lose(rng):
    n, p = 2000, 4
    left, _ = np.linalg.qr(rng.normal(size=(n, p)))
    right, _ = np.linalg.qr(rng.normal(size=(p, p)))
    singular = np.array([1.0, 1e-3, 1e-6, 1e-10])
    block = Block(left * singular @ right, np.zeros(n))
    kernel = TriangleKernel(constant=False)
    parts = [kernel(each, np.zeros(p + 1)) for each in pieces(block, (700, 0, 1, 1299))]
    triangle = reduce(kernel.combine, parts)
    found = np.linalg.svd(triangle[:p, :p], compute_uv=False)
    np.testing.assert_allclose(found, singular, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_always_shows(value, rng):
    X = rng.normal(size=(20, 3))
    X[13, 1] = value
    kernel = TriangleKernel(constant=True)
    with np.errstate(invalid="ignore"):
        assert not kernel.is_finite(kernel(Block(X, np.zeros(20)), np.zeros(4)))


@pytest.mark.parametrize("offset", [4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_where_the_block_lies_in_memory(dtype, offset, rng):
    n, p = 5001, 37
    block = Block(rng.normal(size=(n, p)).astype(dtype), rng.normal(size=n), rng.uniform(0, 2, n))
    moved = Block(*(misaligned(each, offset) for each in (block.X, block.y, block.weight)))
    kernel = TriangleKernel(constant=True)
    np.testing.assert_array_equal(kernel(moved, np.zeros(p + 1)), kernel(block, np.zeros(p + 1)))
