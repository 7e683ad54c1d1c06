"""Leave-one-out errors are those of models fitted without the row."""

from __future__ import annotations

from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.leave_one_out import LeaveOneOutKernel, RidgePath
from tests.strategies import cuts, features, pieces, random_generators, weights

ALPHAS = np.array([0.1, 3.0])


@st.composite
def cases(draw):
    n, p = draw(st.integers(4, 25)), draw(st.integers(1, 4))
    X = draw(features(n, p))
    rng = draw(random_generators())
    y = rng.normal(size=(n, draw(st.integers(1, 2)))) + 2.0
    return Block(X, y, draw(weights(n))), draw(st.booleans())


def fit(X, y, weight, alpha, *, fit_intercept):
    mean_x, mean_y = np.zeros(X.shape[1]), np.zeros(y.shape[1])
    if fit_intercept:
        mean_x, mean_y = weight @ X / weight.sum(), weight @ y / weight.sum()
    Z = X - mean_x
    gram = Z.T @ (Z * weight[:, None]) + alpha * np.eye(X.shape[1])
    coef = np.linalg.solve(gram, Z.T @ ((y - mean_y) * weight[:, None]))
    return coef, mean_y - mean_x @ coef


def path_of(block, *, fit_intercept):
    X = block.X.astype(np.float64)
    weight = np.ones(len(X)) if block.weight is None else block.weight
    mean_x, mean_y = np.zeros(X.shape[1]), np.zeros(block.y.shape[1])
    if fit_intercept:
        mean_x, mean_y = weight @ X / weight.sum(), weight @ block.y / weight.sum()
    Z = (X - mean_x) * np.sqrt(weight)[:, None]
    values, vectors = linalg.eigh(Z.T @ Z)
    slopes = vectors.T @ Z.T @ ((block.y - mean_y) * np.sqrt(weight)[:, None])
    shrinkage = 1.0 / (values + ALPHAS[:, None])
    constant = 1.0 / weight.sum() if fit_intercept else 0.0
    return RidgePath(mean_x, mean_y, vectors, shrinkage, slopes, constant), weight


@given(cases(), st.data())
def test_errors_are_those_of_a_fit_without_the_row(case, data):
    block, fit_intercept = case
    path, weight = path_of(block, fit_intercept=fit_intercept)
    kernel = LeaveOneOutKernel(keep_rows=True)
    sizes = data.draw(cuts(block.n_rows))
    sums = reduce(kernel.combine, [kernel(each, path) for each in pieces(block, sizes)])
    errors = np.concatenate(sums.errors)
    X = block.X.astype(np.float64)
    heavy = np.flatnonzero(weight)
    for row in heavy:
        others = np.delete(np.arange(len(X)), row)
        if not weight[others].any():
            return  # nothing is left to fit
        for index, alpha in enumerate(ALPHAS):
            coef, intercept = fit(
                X[others], block.y[others], weight[others], alpha, fit_intercept=fit_intercept
            )
            expected = block.y[row] - X[row] @ coef - intercept
            np.testing.assert_allclose(errors[row, index], expected, rtol=1e-6, atol=1e-6)
    expected = np.einsum("i,iak->ak", weight, errors**2)
    np.testing.assert_allclose(sums.squared_errors, expected, rtol=1e-10, atol=1e-12)
