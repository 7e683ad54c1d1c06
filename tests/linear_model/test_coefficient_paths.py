"""Paths of lasso and elastic net: scikit-learn's, by one reading of lazy rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model

from dlbd_estimators.exceptions import InvalidParameter, NonFiniteValues
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.linear_model import enet_path, lasso_path
from dlbd_estimators.solvers.proximal.coefficient_path import CoefficientPath

N = 120


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(N, 5)) * [1.0, 10.0, 0.1, 1.0, 1.0]
    return X, X @ [1.0, -0.2, 3.0, 0.0, 0.0] + rng.normal(size=N) + 3.0


def lazy(*arrays):
    return [da.from_array(each, chunks=(50, *each.shape[1:])) for each in arrays]


@pytest.mark.parametrize("given", [
    {}, {"l1_ratio": 0.1, "alphas": 5, "eps": 1e-2}, {"positive": True},
    {"alphas": [0.01, 1.0, 0.1], "l1_ratio": 1.0}, {"l1_ratio": 0, "alphas": [1.0, 0.1]},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_the_path_is_scikit_learns(given, weighted, rows, rng):
    X, y = rows
    ours, theirs = lazy(X, y), (X, y)
    more = {}
    if weighted:
        weight = rng.integers(1, 4, N)
        theirs = [np.repeat(each, weight, axis=0) for each in rows]
        more = {"sample_weight": lazy(weight.astype(float))[0]}
    alphas, coefs, gaps = enet_path(*ours, **given, **more)
    expected = linear_model.enet_path(*theirs, **given, tol=1e-13, max_iter=100_000)
    np.testing.assert_allclose(alphas, expected[0], rtol=1e-12)
    np.testing.assert_allclose(coefs, expected[1], rtol=1e-7, atol=1e-9)
    assert gaps.shape == expected[2].shape
    assert gaps.max() <= 1e-10 * np.mean(y**2)


def test_a_path_with_an_intercept_is_that_of_centred_rows(rows):
    X, y = rows
    alphas, coefs, _ = lasso_path(*lazy(X + 1e4, y), fit_intercept=True)
    expected = linear_model.lasso_path(X - X.mean(axis=0), y - y.mean(), tol=1e-13)
    np.testing.assert_allclose(alphas, expected[0], rtol=1e-9)
    np.testing.assert_allclose(coefs, expected[1], rtol=1e-6, atol=1e-7)


def test_rows_are_read_once_and_stay_lazy(rows):
    X, y = lazy(*rows)
    counts = []

    def read(block):
        counts.append(len(block))
        return block.copy()

    lasso_path(X.map_blocks(read, dtype=X.dtype, meta=np.empty((0, 0))), y)
    assert sorted(counts) == sorted(X.chunks[0])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_the_gap_bounds_the_distance_to_the_minimum(seed, l1_ratio, positive):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    joined = np.column_stack([X, y])
    zeros = np.zeros(4)
    moments = Moments(30.0, 30, zeros, zeros, joined.T @ joined, 2.2e-16)
    path, alphas = CoefficientPath(moments, positive=positive), np.array([0.2])
    if positive and l1_ratio == 0.0:
        l1_ratio = 0.5
    best = path.coefficients(l1_ratio, alphas)

    def objective(w):
        l1, l2 = 0.2 * l1_ratio, 0.2 * (1.0 - l1_ratio)
        return np.mean((y - X @ w) ** 2) / 2 + l1 * np.abs(w).sum() + l2 * (w @ w) / 2

    elsewhere = best + rng.normal(size=(1, 3)) * rng.choice([1e-3, 1.0])
    elsewhere = np.maximum(elsewhere, 0.0) if positive else elsewhere
    distance = objective(elsewhere[0]) - objective(best[0])
    assert path.dual_gaps(l1_ratio, alphas, elsewhere)[0] >= distance - 1e-12
    assert path.dual_gaps(l1_ratio, alphas, best)[0] <= 1e-12


def test_what_is_wrong_is_said(rows):
    X, y = rows
    with pytest.raises(InvalidParameter, match="'l1_ratio' parameter of enet_path"):
        enet_path(X, y, l1_ratio=1.5)
    with pytest.raises(InvalidParameter, match="'alphas' parameter of lasso_path"):
        lasso_path(X, y, alphas=[-1.0])
    with pytest.raises(ValueError, match="not supported for l1_ratio=0"):
        enet_path(X, y, l1_ratio=0)
    with pytest.raises(ValueError, match="y has 2 columns"):
        lasso_path(X, np.column_stack([y, y]))
    X[7, 2] = np.nan
    with pytest.raises(NonFiniteValues, match="row 7"):
        lasso_path(*lazy(X, y))
