"""Sums of residuals against plain NumPy, for any blocks."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.residuals import CentredModel, ResidualKernel
from dlbd_estimators.kernels.sparse_rows import SparseRows


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    n_features=st.integers(0, 4),
    n_outputs=st.integers(1, 3),
    weighted=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**16),
)
def test_sums_are_those_of_all_rows(sizes, n_features, n_outputs, weighted, dtype, seed):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    X = (rng.normal(size=(n, n_features)) + 1e3).astype(dtype)
    Y = rng.normal(size=(n, n_outputs))
    weight = rng.integers(0, 3, n).astype(float)
    model = CentredModel(
        rng.normal(size=(n_outputs, n_features)), np.full(n_features, 1e3), rng.normal(n_outputs)
        * np.ones(n_outputs)
    )  # fmt: skip
    kernel, partials = ResidualKernel(), []
    for stop, size in zip(np.cumsum(sizes), sizes, strict=True):
        rows = slice(stop - size, stop)
        block = Block(X[rows], Y[rows], weight[rows] if weighted else None)
        partials.append(kernel(block, model))
    total = partials[0]
    for partial in partials[1:]:
        total = kernel.combine(total, partial)
    s = weight if weighted else np.ones(n)
    centred = X.astype(np.float64) - model.centre
    residual = Y - centred @ model.coef.T - model.level
    assert kernel.is_finite(total)
    np.testing.assert_allclose(total.weight, s.sum())
    np.testing.assert_allclose(total.squares, s @ residual**2, rtol=1e-12)
    np.testing.assert_allclose(total.total, s @ residual, rtol=1e-10, atol=1e-10)
    expected = (residual * s[:, None]).T @ centred
    np.testing.assert_allclose(total.products, expected, rtol=1e-10, atol=1e-9)


def test_what_is_not_finite_is_told():
    model = CentredModel(np.ones((1, 1)), np.zeros(1), np.zeros(1))
    for bad in (np.nan, np.inf):
        block = Block(np.array([[1.0], [bad]]), np.zeros(2))
        with np.errstate(invalid="ignore"):
            assert not ResidualKernel().is_finite(ResidualKernel()(block, model))


def test_sparse_rows_are_made_dense_once(rng, monkeypatch):
    dense = rng.normal(size=(30, 4)) * (rng.random((30, 4)) < 0.3)
    y, model = rng.normal(size=30), CentredModel(np.ones((1, 4)), np.full(4, 0.1), np.zeros(1))
    made, make = [], SparseRows.__getitem__

    def counted(rows, selected):
        made.append(selected)
        return make(rows, selected)

    monkeypatch.setattr(SparseRows, "__getitem__", counted)
    found = ResidualKernel()(Block(SparseRows(scipy.sparse.csr_array(dense)), y), model)
    assert len(made) == 1
    np.testing.assert_allclose(found.products, ResidualKernel()(Block(dense, y), model).products)
