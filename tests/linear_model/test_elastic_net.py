"""Lasso, ElasticNet and positive least squares against scikit-learn, on every kind of input."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import dlbd_estimators
from dlbd_estimators import ElasticNet, Lasso, LinearRegression, Ridge
from tests.inputs import KINDS, as_kind

N, P = 400, 6


def data(seed=0, targets=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, P)) * [1.0, 2.0, 0.5, 1.0, 0.1, 1.0] + [0.0, 1.0, -3.0, 10.0, 0, 0]
    X = X.astype(dtype)
    signal = rng.normal(size=(P, targets)) * [[1], [1], [-1], [0], [0], [1]]
    Y = X @ signal + rng.normal(size=(N, targets)) + 5.0
    return X, Y[:, 0] if targets == 1 else Y, rng.integers(0, 4, N).astype(float)


def problem(model, X, y, weight, alpha, l1_ratio):
    """By target, in plain NumPy."""
    s = np.ones(len(X)) if weight is None else weight
    residual = y.reshape(len(X), -1) - X @ np.atleast_2d(model.coef_).T - model.intercept_
    coef = np.atleast_2d(model.coef_)
    penalty = l1_ratio * np.abs(coef).sum(axis=1) + (1 - l1_ratio) / 2 * (coef**2).sum(axis=1)
    return s @ residual**2 / (2 * s.sum()) + alpha * penalty


def assert_parity(mine, other, rtol=1e-6):
    scale = np.abs(other.coef_).max()
    np.testing.assert_allclose(mine.coef_, other.coef_, rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(mine.intercept_, other.intercept_, rtol=rtol, atol=rtol)
    assert mine.coef_.shape == other.coef_.shape
    assert np.shape(mine.intercept_) == np.shape(other.intercept_)
    for name in ("dual_gap_", "n_iter_"):
        if hasattr(other, "dual_gap_"):
            assert np.shape(getattr(mine, name)) == np.shape(getattr(other, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("l1_ratio", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [1e-3, 0.3])
def test_parity_with_scikit_learn(
    alpha, l1_ratio, positive, fit_intercept, weighted, targets, dtype
):
    X, y, weight = data(targets=targets, dtype=dtype)
    weight = weight if weighted else None
    options = {"alpha": alpha, "positive": positive, "fit_intercept": fit_intercept}
    name = "Lasso"
    if l1_ratio is not None:
        options["l1_ratio"], name = l1_ratio, "ElasticNet"
    mine = getattr(dlbd_estimators, name)(**options).fit(X, y, weight)
    other = getattr(linear_model, name)(**options, tol=1e-15, max_iter=100_000)
    with warnings.catch_warnings():
        # It goes as far as rounding lets it, which is not always its tolerance.
        warnings.simplefilter("ignore", ConvergenceWarning)
        other.fit(X.astype(float), y, weight)
    assert_parity(mine, other)
    ratio = 1.0 if l1_ratio is None else l1_ratio
    here = problem(mine, X.astype(float), y, weight, alpha, ratio)
    there = problem(other, X.astype(float), y, weight, alpha, ratio)
    gap = np.asarray(mine.dual_gap_)
    assert (here <= there + 1e-10).all()
    assert (here - gap <= there + 1e-12).all()
    assert (gap <= 1e-10 * y.var(axis=0) * 10).all()
    if ratio and not positive:
        assert ((mine.coef_ == 0) == (other.coef_ == 0)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_input_gives_the_same_model(kind, targets, weighted):
    X, y, weight = data(targets=targets)
    inputs = as_kind(kind, X, y, weight if weighted else None)
    mine = Lasso(alpha=0.2).fit(*inputs)
    other = linear_model.Lasso(alpha=0.2, tol=1e-14).fit(X, y, weight if weighted else None)
    assert_parity(mine, other)
    assert mine.n_passes_ == 2.0
    assert mine.score(*inputs) == pytest.approx(
        other.score(X, y, weight if weighted else None), rel=1e-9
    )


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_positive_least_squares(fit_intercept, weighted, targets):
    X, y, weight = data(targets=targets)
    weight = weight if weighted else None
    options = {"positive": True, "fit_intercept": fit_intercept}
    mine = LinearRegression(**options).fit(X, y, weight)
    assert_parity(mine, linear_model.LinearRegression(**options).fit(X, y, weight))
    mine = Ridge(alpha=3.0, **options).fit(da.from_array(X, chunks=90), y, weight)
    other = linear_model.Ridge(alpha=3.0, **options, tol=1e-12).fit(X, y, weight)
    assert_parity(mine, other, rtol=1e-5)
    assert (mine.coef_ >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ill_conditioned_columns_are_certified(dtype):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 20)) + 10 * rng.normal(size=(300, 1))
    X = (X * np.logspace(-2, 2, 20) + 100).astype(dtype)
    y = X[:, :5].astype(float) @ rng.normal(size=5) + rng.normal(size=300)
    mine = Lasso(alpha=0.01).fit(X, y)
    assert mine.dual_gap_ <= 1e-10 * y.var()
    other = linear_model.Lasso(alpha=0.01, tol=1e-10, max_iter=1_000_000).fit(X.astype(float), y)
    ours = problem(mine, X.astype(float), y, None, 0.01, 1.0)
    assert ours <= problem(other, X.astype(float), y, None, 0.01, 1.0) + 1e-12


def test_more_columns_than_rows():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 150))
    y = X[:, :4].sum(axis=1) + 0.1 * rng.normal(size=40)
    mine = Lasso(alpha=0.05).fit(X, y)
    assert_parity(mine, linear_model.Lasso(alpha=0.05, tol=1e-14, max_iter=100_000).fit(X, y))
    assert (mine.sparse_coef_.toarray() == mine.coef_).all()
    assert mine.sparse_coef_.nnz < 40


def test_warm_start_begins_where_the_last_fit_ended():
    X, y, _ = data()
    model = ElasticNet(alpha=0.1, warm_start=True).fit(X, y)
    first = model.coef_.copy()
    np.testing.assert_allclose(model.fit(X, y).coef_, first, rtol=1e-12)
    with pytest.raises(ValueError, match=r"warm_start=True, but the last fit had .* \(1, 6\)"):
        model.fit(X[:, :3], y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
        ({"l1_ratio": 1.5}, "l1_ratio"),
        ({"positive": "yes"}, "positive"),
        ({"warm_start": 2}, "warm_start"),
        ({"tol": -1.0}, "tol"),
        ({"solver": "gram"}, "needs penalties with a gradient"),
        ({"solver": "saga"}, "must be a str among {'auto', "),
    ],
)
def test_bad_parameters_are_named(options, message):
    X, y, _ = data()
    model = ElasticNet(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coef_")
    assert clone(model).get_params() == model.get_params()


def test_positive_ridge_takes_one_alpha():
    X, y, _ = data(targets=2)
    with pytest.raises(ValueError, match="one alpha for all targets"):
        Ridge(alpha=[1.0, 2.0], positive=True).fit(X, y)


def test_what_cannot_be_reached_is_said():
    X, y, _ = data()
    with pytest.warns(ConvergenceWarning, match="coordinate_descent stopped at the limit"):
        Lasso(alpha=0.1, tol=0.0).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        model = Lasso(alpha=0.1, max_iter=1).fit(X, y)
    assert model.dual_gap_ == np.inf  # nothing is known before the certificate
