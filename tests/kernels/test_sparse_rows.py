"""Kernels give the same sums on sparse rows as on dense ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from dlbd_estimators.kernels import linear_tiles as linear_module
from dlbd_estimators.kernels import sparse_products
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.centring import centre_of
from dlbd_estimators.kernels.changes import LargestChangeKernel
from dlbd_estimators.kernels.column_moments import ColumnMomentsKernel
from dlbd_estimators.kernels.columns import OnColumns
from dlbd_estimators.kernels.importance import Importance
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.moments import MomentsKernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, PartKernel
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.kernels.products import HessianProductKernel
from dlbd_estimators.kernels.scores import ScoreKernel, SquaredErrors
from dlbd_estimators.kernels.sparse_rows import SparseRows, SparseTile, first_non_finite
from tests.kernels.test_linear import assert_close, everything, kernel_of
from tests.strategies import problems, random_generators


def sparse_rows(X):
    return SparseRows(sparse.csr_array(X))


@st.composite
def sparse_problems(draw):
    """A linear problem with about half of the features zero, in some columns far from zero."""
    problem = draw(problems())
    X, rng = problem.block.X.copy(), draw(random_generators())
    X[rng.random(X.shape) < 0.5] = 0
    if draw(st.booleans()):
        X[:, 0] += 1000
    return problem._replace(block=Block(X, problem.block.y, problem.block.weight))


def both(problem, kernel, parameters):
    """The sums on dense and on sparse rows."""
    block = problem.block
    rows = Block(sparse_rows(block.X), block.y, block.weight)
    return kernel(block, parameters), kernel(rows, parameters)


@pytest.fixture(params=[8192, 3])
def tile_rows(request, monkeypatch):
    """Tiles of many rows, and of few."""
    monkeypatch.setattr(linear_module, "tile_rows", lambda *_, **__: request.param)


@pytest.fixture(params=["few entries", "many entries"])
def density(request, monkeypatch):
    """Products of sparse rows, and of dense tiles, whatever the density is."""
    limit = np.inf if request.param == "few entries" else 0.0
    monkeypatch.setattr(sparse_products, "_DENSE_FROM", limit)
    monkeypatch.setattr(sparse_products, "_BAND", 2)
    return request.param


@pytest.mark.usefixtures("tile_rows", "density")
@pytest.mark.parametrize("order", Order)
@given(problem=sparse_problems(), own=st.booleans(), moments=st.booleans())
def test_sums_of_a_linear_model(problem, order, own, moments):
    options = {"own_centre": own and problem.packing.fit_intercept, "moments": moments}
    if problem.packing.fit_intercept and not own:
        options["centre"] = centre_of(problem.block.X, None)
    kernel = kernel_of(problem, order, count_errors=True, **options)
    dense, found = both(problem, kernel, problem.parameters)
    scale = 1 + np.abs(problem.block.X).max() ** 2 * problem.block.n_rows
    assert_close(found, dense, rtol=1e-9, atol=1e-13 * scale**1.5)


@pytest.mark.usefixtures("density")
@given(sparse_problems(), st.sampled_from([0, 1, 2]))
def test_hessians_norms_of_rows_and_moments(problem, per_output):
    kernel = everything(problem, per_output=per_output)
    dense, found = both(problem, kernel, problem.parameters)
    assert_close(found, dense, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("density")
@given(sparse_problems(), random_generators())
def test_important_rows(problem, rng):
    block, width = problem.block, problem.packing.shape[1]
    rule = Importance(rng.normal(size=(width, 3)), np.inf, block.n_rows, block.n_rows)
    kernel = kernel_of(problem, importance=rule, centre=centre_of(block.X, None))
    dense, found = both(problem, kernel, problem.parameters)
    # The scores depend on rounding, so the order of priorities may, but not the rows.
    np.testing.assert_allclose(found.rows.X, dense.rows.X, rtol=1e-6, atol=1e-6)
    scale = 1 + np.abs(dense.rows.score).max(initial=0.0)
    np.testing.assert_allclose(found.rows.score, dense.rows.score, rtol=1e-4, atol=1e-4 * scale)


@given(random_generators(), st.integers(1, 30), st.booleans())
def test_products_keep_the_digits_of_full_columns(rng, n_rows, weighted):
    """In a full column far from zero, products of uncentred values would lose the spread."""
    X = rng.normal(size=(n_rows, 3)) * (rng.random((n_rows, 3)) < 0.5)
    X[:, 0], X[:, 1] = 1e8 + rng.normal(size=n_rows), 7.0
    weight = rng.integers(0, 3, n_rows).astype(float) if weighted else np.ones(n_rows)
    block = Block(sparse_rows(X), rng.normal(size=n_rows), weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_products, "_DENSE_FROM", np.inf)
        found = MomentsKernel(centre=True)(block, None)
    columns = np.column_stack([X - [1e8, 7.0, 0.0], block.y])
    exact = np.zeros((4, 4))
    if weight.any():
        mean = np.average(columns, axis=0, weights=weight)
        exact = (columns - mean).T @ (weight[:, None] * (columns - mean))
    np.testing.assert_allclose(found.products, exact, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(found.products[1], 0.0)
    np.testing.assert_array_equal(found.products, found.products.T)


@given(random_generators(), st.integers(1, 20), st.integers(1, 6))
def test_weighted_cross_products_are_symmetric(rng, n_rows, n_features):
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.5)
    weight, products = rng.normal(size=n_rows), np.zeros((n_features, n_features))
    sparse_products.add_cross_products(products, sparse.csr_array(X), weight)
    np.testing.assert_allclose(products, X.T @ (weight[:, None] * X), atol=1e-12)
    np.testing.assert_array_equal(products, products.T)


@pytest.mark.usefixtures("tile_rows")
@given(problem=sparse_problems())
def test_products_with_the_hessian(problem):
    centre = centre_of(problem.block.X, None) if problem.packing.fit_intercept else None
    kernel = HessianProductKernel(problem.loss, problem.packing, centre)
    parameters = np.stack([problem.parameters, np.arange(1.0, 1 + problem.packing.size)])
    dense, found = both(problem, kernel, parameters)
    size = 1 + np.abs(problem.block.X).max() ** 2 * problem.block.n_rows
    np.testing.assert_allclose(found.product, dense.product, rtol=1e-9, atol=1e-12 * size)
    assert found.weight == pytest.approx(dense.weight)


@pytest.mark.usefixtures("density")
@given(sparse_problems(), st.booleans())
def test_moments_columns_and_parts(problem, centre):
    block = problem.block

    def assert_same(found, dense):
        size = 1 + np.abs(dense.products).max()
        np.testing.assert_allclose(found.products, dense.products, rtol=1e-9, atol=1e-9 * size)
        np.testing.assert_allclose(found.mean, dense.mean, rtol=1e-9, atol=1e-9)
        assert found.weight == pytest.approx(dense.weight)

    dense, found = both(problem, MomentsKernel(centre, precise=True), None)
    assert_same(found, dense)
    assert (found.n_rows, found.epsilon) == (dense.n_rows, dense.epsilon)
    dense, found = both(problem, ColumnMomentsKernel(), None)
    np.testing.assert_array_equal(found.squares, dense.squares)
    columns = np.arange(block.X.shape[1])[::-2]
    dense, found = both(problem, OnColumns(MomentsKernel(centre, precise=True), columns), None)
    assert_same(found, dense)
    parts = (slice(0, block.n_rows // 2), np.arange(0, block.n_rows, 3))
    for part in range(2):
        kernel = PartKernel(MomentsKernel(centre, precise=True), part)
        dense, found = (
            kernel(DividedBlock(X, block.y, block.weight, parts), None)
            for X in (block.X, sparse_rows(block.X))
        )
        assert_same(found, dense)


@given(random_generators(), st.integers(0, 30), st.integers(1, 3))
def test_scores(rng, n_rows, n_outputs):
    X = rng.normal(size=(n_rows, 4)) * (rng.random((n_rows, 4)) < 0.4)
    block = Block(X, rng.normal(size=(n_rows, n_outputs)))
    model = LinearPredictor(rng.normal(size=(n_outputs, 4)), rng.normal(size=n_outputs))
    kernel = ScoreKernel(SquaredErrors())
    dense, found = (kernel(Block(rows, block.y), model) for rows in (X, sparse_rows(X)))
    np.testing.assert_allclose(found.squared_errors, dense.squared_errors)


@given(random_generators(), st.integers(1, 20), st.integers(1, 6))
def test_moments_keep_their_digits_far_from_zero(rng, n_rows, n_features):
    X = rng.normal(size=(n_rows, n_features))
    X[:, 0] += 1e8
    tile = SparseTile(sparse.csr_array(X), None)
    weight, shift = rng.random(n_rows), X.mean(axis=0)
    moments = np.zeros((2, n_features))
    tile.add_moments(moments, weight, shift)
    np.testing.assert_allclose(moments[1], weight @ (X - shift) ** 2, rtol=1e-7, atol=1e-15)


@given(random_generators(), st.integers(0, 12), st.data())
def test_indexing_is_that_of_an_array(rng, n_rows, data):
    X = rng.normal(size=(n_rows, 5)) * (rng.random((n_rows, 5)) < 0.4)
    rows = sparse_rows(X)
    assert (len(rows), rows.shape, rows.ndim, rows.dtype) == (n_rows, X.shape, 2, X.dtype)
    index = data.draw(st.slices(max(n_rows, 1)))
    np.testing.assert_array_equal(rows[index], X[index], strict=True)
    np.testing.assert_array_equal(rows.chosen(index)[:], X[index])
    positions = rng.integers(0, max(n_rows, 1), 3 if n_rows else 0)
    np.testing.assert_array_equal(rows[positions], X[positions])
    np.testing.assert_array_equal(rows.chosen(positions)[:], X[positions])
    np.testing.assert_array_equal(rows[:, [3, 0]][:], X[:, [3, 0]])
    bad = X.copy()
    assert first_non_finite(rows) is None is first_non_finite(X)
    if n_rows:
        bad[n_rows - 1, 2] = np.nan
        assert (
            first_non_finite(sparse_rows(bad))[:2] == (n_rows - 1, 2) == first_non_finite(bad)[:2]
        )


def test_a_gradient_makes_no_dense_tile(monkeypatch):
    """With 100,000 columns a dense tile of eight rows is larger than all entries together."""
    X = sparse.random_array(
        (500, 100_000), density=1e-4, format="csr", rng=np.random.default_rng(0)
    )
    block = Block(SparseRows(X), np.arange(500.0) % 2)
    monkeypatch.setattr(sparse.csr_array, "toarray", lambda *_, **__: pytest.fail("made dense"))
    ellipsoid = (np.ones(X.shape[1]), np.ones(X.shape[1]))
    packing = Packing(1, X.shape[1], fit_intercept=True)
    loss = HalfBinomialLoss()
    kernel = LinearKernel(loss, packing, Order.GRADIENT, ellipsoid=ellipsoid)
    assert kernel(block, np.zeros(packing.size)).n_rows == 500
    HessianProductKernel(loss, packing)(block, np.zeros((2, packing.size)))
    LargestChangeKernel(packing, coupled=False)(block, np.zeros(packing.size))


def test_products_of_few_entries_make_no_dense_tile(monkeypatch):
    X = sparse.random_array((200, 300), density=0.02, format="csr", rng=np.random.default_rng(0))
    block, to_dense = Block(SparseRows(X), np.arange(200.0) % 2), sparse.csr_array.toarray

    def dense_band(rows):
        assert rows.shape != (200, 300)
        return to_dense(rows)

    monkeypatch.setattr(sparse.csr_array, "toarray", dense_band)
    packing = Packing(1, 300, fit_intercept=True)
    kernel = LinearKernel(HalfBinomialLoss(), packing, Order.HESSIAN, centre=np.zeros(300))
    assert kernel(block, np.zeros(packing.size)).hessian.shape == (301, 301)
    assert MomentsKernel(centre=True)(block, None).products.shape == (301, 301)
