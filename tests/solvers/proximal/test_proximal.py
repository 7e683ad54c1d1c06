"""Proximal Newton and working sets: the conditions of a minimum hold on the data."""

from __future__ import annotations

import sys

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model

from dlbd_estimators import ElasticNet, Lasso, LogisticRegression
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfSquaredError,
)
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.linear_model.choose_solver import SOLVERS, choose
from dlbd_estimators.solvers import Status, factor
from dlbd_estimators.solvers.gauge import free_shift
from dlbd_estimators.solvers.proximal.proximal_newton import ProximalNewton
from dlbd_estimators.solvers.proximal.working_set import WorkingSet
from tests.solvers.dense import dense_derivatives, problem_of, run

N = 4000


def drawn(rng, n_outputs, n_features=6):
    X = rng.normal(size=(N, n_features)) * np.logspace(-1, 1, n_features) + [3.0] * n_features
    signal = rng.normal(size=(n_features, max(n_outputs, 2))) * (np.arange(n_features) % 2)[:, None]
    raw = (X - X.mean(axis=0)) / X.std(axis=0) @ signal
    y = (raw + rng.gumbel(size=raw.shape)).argmax(axis=1)
    return X, y.astype(float)


def violation(problem, X, y, parameters, weight=None):
    """Distance to the conditions of a minimum, relative to the strength of the norm."""
    _, gradient, _ = dense_derivatives(problem, X, y, parameters, weight)
    rows, coefs = (a.reshape(problem.packing.shape) for a in (gradient, parameters))
    n = problem.packing.n_features
    l1 = problem.l1.strength / (len(X) if weight is None else weight.sum())
    slope, coef = rows[:, :n], coefs[:, :n]
    free = np.abs(rows[:, n:]).max(initial=0.0)
    zero = np.maximum(np.abs(slope) - l1, 0.0)
    return max(free, np.where(coef == 0, zero, np.abs(slope + l1 * np.sign(coef))).max()) / l1


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [0.0, 5.0])
@pytest.mark.parametrize("l1", [1.0, 60.0])
@pytest.mark.parametrize("name", ["proximal_newton", "working_set"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_solution_meets_the_conditions(n_outputs, name, l1, l2, fit_intercept, rng):
    X, y = drawn(rng, n_outputs)
    weight = rng.integers(0, 3, N).astype(float)
    problem = problem_of(
        X,
        y,
        HalfBinomialLoss() if n_outputs == 1 else HalfMultinomialLoss(),
        n_outputs=n_outputs,
        strength=l2,
        fit_intercept=fit_intercept,
        weight=weight,
        l1=L1(l1),
    )
    solution = run(SOLVERS[name](), problem, tol=1e-10)
    assert solution.status is Status.CONVERGED
    assert violation(problem, X, y, solution.parameters, weight) < 1e-6
    value, _, _ = dense_derivatives(problem, X, y, solution.parameters, weight)
    norm = problem.l1.value(problem.packing, solution.parameters) / weight.sum()
    assert solution.history[-1]["loss"] == pytest.approx(value + norm, rel=1e-8)


def test_a_start_far_away_is_brought_back(rng):
    X, y = drawn(rng, 1)
    problem = problem_of(X, y, HalfBinomialLoss(), l1=L1(5.0))
    start = 20.0 * rng.normal(size=problem.packing.size)
    solution = run(ProximalNewton(), problem, start=start)
    assert violation(problem, X, y, solution.parameters) < 1e-6
    assert min(entry["step"] for entry in solution.history) < 1.0


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_regression_has_the_zeros_of_scikit_learn(n_classes, l1_ratio, rng):
    X, y = drawn(rng, 1 if n_classes == 2 else 3)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    options = {"C": 0.005, "l1_ratio": l1_ratio}
    mine = LogisticRegression(**options).fit(X, y)
    other = linear_model.LogisticRegression(**options, solver="saga", tol=1e-10, max_iter=10_000)
    other.fit(X, y)
    np.testing.assert_allclose(mine.coef_, other.coef_, atol=2e-6)
    assert ((mine.coef_ == 0) == (other.coef_ == 0)).all()
    assert (mine.coef_ == 0).any()
    assert mine.solver_ == "proximal_newton"
    np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("n_classes", [3, 4])
@pytest.mark.parametrize("solver", ["proximal_newton", "working_set"])
def test_what_no_penalty_tells_apart_does_not_depend_on_the_cut(solver, n_classes, l1_ratio, rng):
    """Intercepts sum to zero, and so does what an l1 norm leaves open of the coefficients."""
    X, y = drawn(rng, n_classes)
    X = X[:, [0, 1, 3]]
    options = {"C": 0.05, "l1_ratio": l1_ratio, "solver": solver}
    expected = LogisticRegression(**options).fit(X, y)
    np.testing.assert_allclose(expected.intercept_.sum(), 0.0, atol=1e-10)
    for rows, seed in ((90, 0), (700, 1), (N, 2)):
        model = LogisticRegression(**options, random_state=seed)
        lazy = da.from_array(X, chunks=(rows, 3))
        model.fit(lazy, da.from_array(y, chunks=rows))
        np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6)
        np.testing.assert_allclose(
            model.decision_function(X), expected.decision_function(X), atol=1e-5
        )
    if n_classes == 3 and solver == "proximal_newton":
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        mine = LogisticRegression(**options).fit(X, y)
        other = linear_model.LogisticRegression(
            C=0.05, l1_ratio=l1_ratio, solver="saga", tol=1e-9, max_iter=10_000
        ).fit(X, y)
        np.testing.assert_allclose(mine.intercept_, other.intercept_, atol=1e-5)


def test_a_shift_that_costs_nothing_is_that_of_a_vanishing_l2_penalty():
    coef = np.array([[3.0, 1.0, -1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-1.0, -2.0, 5.0]])
    shift = free_shift(coef)
    np.testing.assert_allclose(shift, [0.75, 0.0, 0.0])
    np.testing.assert_allclose(np.abs(coef - shift).sum(axis=0), np.abs(coef).sum(axis=0))
    np.testing.assert_array_equal(free_shift(coef[:3]), 0.0)


def test_no_penalty_is_no_penalty_whatever_its_shape(rng):
    X, y = drawn(rng, 1)
    mine = LogisticRegression(C=np.inf, l1_ratio=1.0).fit(X, y)
    other = LogisticRegression(C=np.inf).fit(X, y)
    np.testing.assert_array_equal(mine.coef_, other.coef_)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("model", [Lasso(alpha=0.08), ElasticNet(alpha=0.1, l1_ratio=0.8)])
def test_working_set_finds_the_same_as_the_whole(model, targets, positive, rng):
    X = rng.normal(size=(300, 200)) + 2.0
    Y = X[:, :5] @ rng.normal(size=(5, targets)) + rng.normal(size=(300, targets))
    y = Y[:, 0] if targets == 1 else Y
    model = model.set_params(positive=positive, solver="auto")
    whole = model.fit(X, y).coef_.copy()
    model.set_params(solver="working_set").fit(X, y)
    np.testing.assert_allclose(model.coef_, whole, atol=1e-8)
    assert np.max(model.dual_gap_) <= 1e-10 * y.var(axis=0).max()
    assert ((model.coef_ == 0) == (whole == 0)).all()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_working_set_and_columns_whose_means_are_not_zero(fit_intercept, rng):
    X = rng.normal(size=(200, 100)) + 3.0
    y = X[:, :5] @ rng.normal(size=5) + rng.normal(size=200) + 5.0
    options = {"alpha": 0.1, "fit_intercept": fit_intercept}
    model = Lasso(**options, solver="working_set").fit(X, y)
    other = linear_model.Lasso(**options, tol=1e-12, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-6)
    assert model.dual_gap_ <= 1e-9 * y.var()


def test_what_a_quadratic_cannot_hold_is_solved_on_a_set_or_refused(rng, monkeypatch):
    X = rng.normal(size=(200, 40))
    y = X[:, 0] + 0.1 * rng.normal(size=200)
    for module in ("linear_model.choose_solver", "solvers.proximal.working_set"):
        loaded = sys.modules[f"dlbd_estimators.{module}"]
        monkeypatch.setattr(loaded, "LARGEST_HESSIAN", 20)
    monkeypatch.setattr(loaded, "_SMALLEST_SET", 4)
    assert factor.LARGEST_HESSIAN > 20
    model = Lasso(alpha=0.05).fit(X, y)
    assert model.solver_ == "working_set"
    np.testing.assert_allclose(
        model.coef_, linear_model.Lasso(alpha=0.05, tol=1e-14).fit(X, y).coef_, atol=1e-8
    )
    with pytest.raises(ValueError, match=r"More than 20 features .* Strengthen the penalty"):
        Lasso(alpha=1e-4).fit(X, y)
    classes = np.digitize(X[:, :9].sum(axis=1), [-1.0, 1.0])
    with pytest.raises(ValueError, match=r"More than 6 features"):  # of three coefficients each
        LogisticRegression(C=100.0, l1_ratio=1.0, solver="working_set").fit(X, classes)
    with pytest.raises(ValueError, match=r"at most 20 parameters.*working_set"):
        Lasso(alpha=0.05, solver="coordinate_descent").fit(X, y)
    with pytest.raises(ValueError, match=r"at most 20 parameters.*Add an l1 penalty"):
        ElasticNet(alpha=0.05, l1_ratio=0.0).fit(X, y)
    with pytest.raises(ValueError, match="needs an l1 penalty"):
        ElasticNet(alpha=0.05, l1_ratio=0.0, solver="working_set").fit(X, y)


def test_solvers_that_need_slopes_are_refused_where_there_are_none(rng):
    X, y = drawn(rng, 1)
    problem = problem_of(X, y, HalfSquaredError(), l1=L1(1.0))
    for name in ("gram", "newton", "lbfgs", "gradient_descent"):
        with pytest.raises(ValueError, match="no l1 part"):
            choose(name, problem)
    assert isinstance(choose("working_set", problem), WorkingSet)
