"""How fits end: what is told to be right is right, and what has no end is told."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, SeparableWarning
from dlbd_estimators.objectives.losses import HalfBinomialLoss
from dlbd_estimators.objectives.penalties import L1
from dlbd_estimators.solvers import SOLVERS, Status
from tests.solvers.dense import objective_of, run
from tests.strategies import random_generators

SMOOTH = ["newton", "newton_cg", "lbfgs", "gradient_descent"]
SOLVER_NAMES = [*SMOOTH, "proximal_newton", "working_set"]


@st.composite
def small_problems(draw):
    """Few rows, dependent, constant and rare columns, columns far from zero, any penalty."""
    rng = draw(random_generators())
    n, p, n_classes = draw(st.integers(4, 40)), draw(st.integers(1, 4)), draw(st.integers(2, 3))
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-2, 3, p)
    X += 10.0 ** rng.integers(0, 9) * rng.integers(0, 2, p)
    kind = draw(st.sampled_from(["plain", "rare", "doubled", "nearly doubled", "constant"]))
    if kind == "rare":
        X[:, 0] = rng.random(n) < 0.2
    elif kind == "constant":
        X[:, 0] = rng.normal() * 1e6
    elif p > 1 and kind != "plain":
        X[:, 1] = X[:, 0] * (1.0 + (kind != "doubled") * 1e-7 * rng.normal(size=n))
    y = rng.integers(0, n_classes, n)
    y[:n_classes] = np.arange(n_classes)
    weight = rng.integers(1, 4, n).astype(float) if draw(st.booleans()) else None
    return X, y, weight


@given(
    small_problems(),
    st.sampled_from(SOLVER_NAMES),
    st.sampled_from([1e-2, 1.0, 1e4, np.inf]),
    st.booleans(),
    st.sampled_from([1e-10, 1e-6, 0.0]),
)
def test_the_error_is_at_most_tol_or_there_is_a_warning(problem, solver, C, fit_intercept, tol):
    X, y, weight = problem
    sparse = solver not in SMOOTH
    if sparse and np.isinf(C):
        C = 10.0
    model = LogisticRegression(
        solver=solver,
        C=C,
        l1_ratio=0.7 if sparse else 0.0,
        fit_intercept=fit_intercept,
        tol=tol,
        max_iter=60,
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(X, y, weight)
    assert all(issubclass(each.category, ConvergenceWarning) for each in seen)
    assert seen or model.history_[-1]["error"] <= tol
    assert np.isfinite(model.coef_).all()


def quasi_separable(rng, n, n_classes, share):
    """A dummy whose rows are all of the last class, beside a column that decides nothing alone."""
    x, dummy = rng.normal(size=n), (rng.random(n) < share).astype(float)
    edges = [0.0] if n_classes == 2 else np.linspace(-1, 1, n_classes - 1)
    y = np.digitize(x + rng.logistic(size=n), edges)
    dummy[0], y[:n_classes] = 1.0, np.arange(n_classes)
    dummy[:n_classes] = 0.0
    dummy[n_classes] = 1.0
    y[dummy == 1] = n_classes - 1
    return np.column_stack([x, dummy]), y


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.01])
@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("solver", SMOOTH)
def test_a_column_that_decides_some_rows_is_told(solver, n_classes, share, fit_intercept, rng):
    X, y = quasi_separable(rng, 600, n_classes, share)
    for tol in (1e-10, 1e-4):
        model = LogisticRegression(
            C=np.inf, solver=solver, tol=tol, fit_intercept=fit_intercept, max_iter=150
        )
        with pytest.warns(ConvergenceWarning) as seen:
            model.fit(X, y)
        assert not model.history_[-1]["error"] <= tol
        if solver == "newton":
            assert seen[0].category is SeparableWarning
            assert "Some rows are perfectly separable" in str(seen[0].message)
            assert model.n_iter_[0] < 40
    # With a penalty there is a minimum, and no warning.
    bounded = LogisticRegression(solver=solver, fit_intercept=fit_intercept, max_iter=2000)
    bounded.fit(X, y)


@pytest.mark.parametrize("n", [10, 1000, 100_000])
@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_one_row_that_stands_in_the_way_is_a_minimum(solver, n, rng):
    """All rows of the dummy but one are of one class: its coefficient is large, and right."""
    dummy = np.arange(2 * n) < n
    y = np.where(dummy, 1, rng.integers(0, 2, 2 * n))
    y[0], y[-2:] = 0, [0, 1]
    model = LogisticRegression(C=np.inf, solver=solver, max_iter=300)
    model.fit(dummy[:, None].astype(float), y)
    inside, outside = y[dummy].mean(), y[~dummy].mean()
    expected = np.log(inside / (1 - inside)) - np.log(outside / (1 - outside))
    assert model.coef_[0, 0] == pytest.approx(expected, rel=1e-6)


def test_a_start_where_curvature_has_vanished_already(rng):
    X, y = quasi_separable(rng, 600, 2, 0.05)
    objective = objective_of(X, y.astype(float), HalfBinomialLoss())
    start = np.array([1.0, 45.0, 0.0])
    with pytest.warns(SeparableWarning):
        solution = run(SOLVERS["newton"](), objective, start=start)
    assert solution.status is Status.QUASI_SEPARABLE


def test_what_a_sparse_model_cannot_tell_from_nothing_is_not_called_zero(rng):
    X = rng.normal(size=(200, 3))
    y = (X[:, 0] + rng.logistic(size=200) > 0).astype(float)
    objective = objective_of(X, y, HalfBinomialLoss(), l1=L1(1.0))
    solution = run(SOLVERS["proximal_newton"](), objective)
    again = run(SOLVERS["proximal_newton"](), objective, start=solution.parameters)
    assert 0.0 < again.history[-1]["error"] <= 1e-9


@pytest.mark.parametrize("named", [False, True])
def test_columns_that_are_nearly_collinear_are_named(rng, named):
    X = rng.normal(size=(500, 5))
    X[:, 3] = X[:, 1] + 1e-8 * rng.normal(size=500)
    y = (X[:, 0] + X[:, 1] > rng.logistic(size=500)).astype(int)
    found = r"Columns 1 \('b'\), 3 \('d'\) may" if named else "Columns 1, 3 may"
    with pytest.warns(ConvergenceWarning, match=found):
        LogisticRegression(C=np.inf, solver="newton").fit(
            pd.DataFrame(X, columns=list("abcde")) if named else X, y
        )


@pytest.mark.parametrize(
    ("solver", "seed", "shape"),
    [("newton", 6, (1000, 3)), ("newton", 14, (300, 6)), ("newton_cg", 1, (2000, 1))],
)
def test_nearly_collinear_columns_are_not_separable(solver, seed, shape):
    """The step that is left is long along their difference, which moves no prediction."""
    rng = np.random.default_rng(seed)
    if solver == "newton":  # as the cases were found
        rng.choice([300, 1000, 3000]), rng.choice([1, 3, 6])
    columns, other = rng.normal(size=shape), rng.normal(size=shape[0])
    draws = rng.random(shape[0])
    coef = rng.normal(size=shape[1]) if solver == "newton" else np.ones(1)
    y = (draws < expit(columns @ coef)) * 1
    X = np.column_stack([columns, columns[:, 0] + 1e-5 * other])
    model = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    apart = np.column_stack([columns, other])
    expected = LogisticRegression(C=np.inf).fit(apart, y).decision_function(apart)
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_features", [1, 8])
def test_inexact_steps_see_separable_rows_at_a_loose_tol(n_features, n_classes, seed):
    """Conjugate gradients leave of a step what is small in their metric."""
    rng = np.random.default_rng(seed)
    X, y = quasi_separable(rng, 600, n_classes, 0.02)
    X = np.column_stack([X, rng.normal(size=(600, n_features - 1))])
    for tol in (1e-10, 1e-5, 1e-4):
        with pytest.warns(SeparableWarning, match="Some rows are perfectly separable"):
            LogisticRegression(C=np.inf, solver="newton_cg", tol=tol, max_iter=300).fit(X, y)
