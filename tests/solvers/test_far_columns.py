"""Columns far from zero: the fit is that of the same columns near zero, in as many passes."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from dlbd_estimators import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.solvers.evaluation import Known
from tests.solvers.dense import answer, dense_derivatives, evaluate
from tests.solvers.steps import problem_for, small
from tests.strategies import random_generators

SMOOTH = ["newton", "lbfgs", "gradient_descent"]

MODELS = {
    **{f"logistic {name}": LogisticRegression(solver=name, max_iter=500) for name in SMOOTH},
    **{
        f"logistic without a penalty, {name}": LogisticRegression(
            solver=name, C=np.inf, max_iter=500
        )
        for name in SMOOTH
    },
    "logistic l1": LogisticRegression(l1_ratio=1.0, C=0.1),
    "logistic l1 and L2": LogisticRegression(l1_ratio=0.5, C=0.1),
    "logistic l1, working set": LogisticRegression(l1_ratio=1.0, C=0.1, solver="working_set"),
    **{f"linear {name}": LinearRegression(solver=name) for name in ["gram", *SMOOTH]},
    **{f"ridge {name}": Ridge(solver=name) for name in ["gram", *SMOOTH]},
    "linear, positive": LinearRegression(positive=True),
    "ridge, positive": Ridge(positive=True),
    "lasso": Lasso(alpha=0.01),
    "lasso, working set": Lasso(alpha=0.01, solver="working_set"),
    "elastic net": ElasticNet(alpha=0.01),
}


def on_a_grid(rng, n, p):
    """Columns near zero, of numbers that stay themselves when a mean is added."""
    return np.round(rng.normal(size=(n, p)) * 2**8) / 2**8


def targets(rng, X, model, n_classes):
    score = X @ np.linspace(1.0, -0.5, X.shape[1])
    if not isinstance(model, LogisticRegression):
        return score + rng.normal(size=len(X))
    edges = [0.2] if n_classes == 2 else np.linspace(-1, 1, n_classes - 1)
    return np.digitize(score + rng.logistic(size=len(X)), edges)


def assert_same_fit(far, near, mean, rtol=1e-6):
    scale = np.abs(near.coef_).max()
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=rtol, atol=rtol * scale)
    level = np.ravel(far.intercept_ + np.atleast_2d(far.coef_) @ mean)
    expected = np.ravel(near.intercept_)
    if len(level) > 1:  # intercepts that sum to zero are others where coefficients do not
        level, expected = level - level.mean(), expected - expected.mean()
    # An intercept has the digits that a number of its size can hold.
    held = 4e-16 * np.abs(mean).max() * max(scale, 1.0) * len(mean)
    np.testing.assert_allclose(level, expected, rtol=rtol, atol=rtol * scale + held)
    assert far.n_passes_ <= near.n_passes_ + 1.5


@pytest.mark.parametrize("mean", [1e6, 1e10])
@pytest.mark.parametrize("name", MODELS)
def test_the_fit_is_that_of_columns_near_zero(name, mean, rng):
    model = MODELS[name]
    X = on_a_grid(rng, 900, 3)
    means = mean * np.array([1.0, -1.0, 0.0])
    for n_classes in (2, 3) if isinstance(model, LogisticRegression) else (2,):
        y = targets(rng, X, model, n_classes)
        weight = rng.integers(0, 3, len(X)).astype(float)
        near = clone(model).fit(X, y, weight)
        assert_same_fit(clone(model).fit(X + means, y, weight), near, means)
        lazy = [da.from_array(each, chunks=(170, 3)) for each in (X, X + means)]
        labels = da.from_array(y, chunks=170)
        near, far = (clone(model).fit(each, labels, weight) for each in lazy)
        assert_same_fit(far, near, means)


@given(
    random_generators(),
    st.integers(2, 3),
    st.floats(0.0, 8.0),
    st.booleans(),
    st.sampled_from(SMOOTH[:2]),
)
def test_shift_equivariance(rng, n_classes, exponent, weighted, solver):
    X = on_a_grid(rng, 60, 2)
    y = targets(rng, X, LogisticRegression(), n_classes)
    y[:n_classes] = np.arange(n_classes)
    mean = np.round(10.0**exponent * rng.uniform(-1, 1, 2))
    weight = rng.uniform(0.5, 2.0, 60) if weighted else None
    options = {"solver": solver, "C": 2.0}
    near = LogisticRegression(**options).fit(X, y, weight)
    far = LogisticRegression(**options).fit(X + mean, y, weight)
    assert_same_fit(far, near, mean, rtol=1e-7)


@pytest.mark.parametrize("solver", SMOOTH)
def test_float32_columns_have_the_fit_of_the_numbers_they_hold(solver, rng):
    X = (rng.integers(-40, 40, (500, 2)) / 4 + 2.0**20).astype(np.float32)
    X[:, 1] *= -2.0
    y = targets(rng, (X - X.mean(axis=0)).astype(float) / 8, LogisticRegression(), 2)
    mean = np.array([2.0**20, -(2.0**21)])
    near = LogisticRegression(solver=solver, max_iter=500).fit(X.astype(float) - mean, y)
    far = LogisticRegression(solver=solver, max_iter=500).fit(X, y)
    assert_same_fit(far, near, mean)


def test_rows_in_the_order_of_a_far_column(rng):
    """Each block has a centre of its own: that of its part of the range."""
    X = on_a_grid(rng, 20_000, 2)
    X = X[np.argsort(X[:, 0])]
    mean = np.array([1e9, 0.0])
    y = targets(rng, X, LogisticRegression(), 2)
    near = LogisticRegression(solver="newton", tol=1e-10).fit(X, y)
    far = LogisticRegression(solver="newton", tol=1e-10).fit(
        da.from_array(X + mean, chunks=(500, 2)), da.from_array(y, chunks=500)
    )
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-8)


def test_rows_of_no_weight_do_not_say_where_the_others_lie(rng):
    X = on_a_grid(rng, 600, 2) + 1e9
    y = targets(rng, X - 1e9, LogisticRegression(), 2)
    weight = np.ones(600)
    weight[:200] = 0.0
    expected = LogisticRegression(solver="newton", tol=1e-10).fit(X[200:], y[200:])
    X[:200] = 0.0
    lazy = da.from_array(X, chunks=(100, 2))
    model = LogisticRegression(solver="newton", tol=1e-10)
    model.fit(lazy, da.from_array(y, chunks=100), weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


@pytest.mark.parametrize("value", [1 / 3, 1e9 + 0.1])
@pytest.mark.parametrize("name", MODELS)
def test_a_constant_far_from_zero_has_no_coefficient(name, value, rng):
    model = MODELS[name]
    X = np.column_stack([on_a_grid(rng, 900, 1), np.full(900, value)])
    y = targets(rng, X[:, :1], model, 2)
    fitted = clone(model).fit(da.from_array(X, chunks=(70, 2)), y)
    alone = clone(model).fit(X[:, :1], y)
    np.testing.assert_allclose(np.ravel(fitted.coef_), [*np.ravel(alone.coef_), 0], atol=1e-7)


def test_a_user_s_start_far_from_zero(rng):
    mean = np.array([1e9, -1e9])
    X = on_a_grid(rng, 900, 2) + mean
    y = targets(rng, X - mean, LogisticRegression(), 3)
    model = LogisticRegression(solver="newton", warm_start=True).fit(X, y)
    coef = model.coef_.copy()
    np.testing.assert_allclose(model.fit(X, y).coef_, coef, rtol=1e-9)
    assert model.n_passes_ <= 2


@pytest.mark.parametrize("solver", [*SMOOTH, "proximal_newton"])
@pytest.mark.parametrize("exponent", [4, 8, 12])
def test_without_an_intercept_the_fit_is_right_or_told(solver, exponent, rng):
    """Nothing can be taken off the columns: they are nearly the same one."""
    X = on_a_grid(rng, 400, 2) + 10.0**exponent
    y = targets(rng, X - 10.0**exponent, LogisticRegression(), 2)
    options = {"fit_intercept": False, "l1_ratio": 0.5 if solver == "proximal_newton" else 0.0}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = LogisticRegression(solver=solver, **options).fit(X, y)
    if seen:
        return
    # The slope along which the mean prediction stays, in units of the spread.
    across = X[:, 0] - X[:, 1]
    a, b = model.coef_[0]
    residual = 1 / (1 + np.exp(-X @ model.coef_[0])) - y
    share = options["l1_ratio"]
    slope = across @ residual + (1 - share) * (a - b) + share * (np.sign(a) - np.sign(b))
    if share and not (a and b):
        return
    assert abs(slope) < 1e-4 * np.abs(across).sum()


def test_a_centre_that_is_zero_in_some_columns_is_subtracted_from_the_others():
    X, y, weight = small("two classes")
    centre = np.array([0.0, -30.0, 0.0, 9.0])
    problem = problem_for("two classes", X, y, weight)
    problem = problem.with_known(Known(weight.sum(), centre=centre))
    rng = np.random.default_rng(2)
    point, vector = rng.normal(size=(2, 5)) / np.append(X.std(axis=0), 1.0)
    value, gradient, hessian = dense_derivatives(problem, X - centre, y, point, weight)

    def run_pass(asked):
        return executor.map_reduce(
            asked.kernel, asked.parameters, problem.blocks, name=asked.name
        ).partial

    with ThreadExecutor(1) as executor:
        product = answer(problem.product(point, vector, "test"), run_pass)
    np.testing.assert_allclose(product, hessian @ vector, rtol=1e-9)
    here = evaluate(problem, point, Order.HESSIAN, "test")
    assert here.value == pytest.approx(value)
    np.testing.assert_allclose(here.gradient, gradient, rtol=1e-9)
    np.testing.assert_allclose(here.hessian, hessian, rtol=1e-9)
