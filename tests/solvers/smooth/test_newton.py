"""The bound that ends Newton's method, its way back from steps too long, and its endings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, SeparableWarning
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.solvers import Status
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.separation import ellipsoid_of, largest_change, remainder
from tests.solvers.dense import dense_decrement, evaluate, problem_of, run
from tests.strategies import features, random_generators, weights


@st.composite
def problems(draw):
    n, p = draw(st.integers(5, 60)), draw(st.integers(1, 4))
    n_classes = draw(st.integers(2, 4))
    loss, n_outputs = (
        (HalfBinomialLoss(), 1) if n_classes == 2 else (HalfMultinomialLoss(), n_classes)
    )
    rng = draw(random_generators())
    X = draw(features(n, p, dtypes=(np.float64,))) * 10.0 ** rng.integers(-2, 3, p)
    y = rng.integers(0, n_classes, n).astype(float)
    weight = draw(weights(n))
    problem = problem_of(
        X,
        y,
        loss,
        n_outputs=n_outputs,
        strength=draw(st.sampled_from([1e-3, 1.0, 10.0])),
        fit_intercept=draw(st.booleans()),
        weight=weight,
    )
    start = draw(st.sampled_from([0.0, 0.1, 1.0])) * rng.normal(size=problem.packing.shape)
    start[:, :p] /= np.abs(X).max(axis=0)
    # Solvers take what is common to all classes out of a start, and their steps never put it back.
    start = problem.without_shift(start.ravel())
    return problem, X, y, weight, start


@example(
    (
        problem_of(
            X := 1e-3 * np.array([[1.2573], [-1.32105], [6.40423], [1.049], [-5.35669]]),
            y := np.array([0.0, 1.0, 2.0, 0.0, 0.0]),
            HalfMultinomialLoss(),
            n_outputs=3,
            strength=1e-3,
            fit_intercept=False,
        ),
        X,
        y,
        None,
        np.array([-9.13343085, 7.38277177, 8.74335537]) - 2.33089873,
    ),
    0.0,
    np.random.default_rng(0),
)
@given(problems(), st.sampled_from([0.0, 0.3]), random_generators())
def test_the_decrement_after_a_full_step_is_at_most_its_bound(problem, noise, rng):
    problem, X, y, weight, point = problem
    p = X.shape[1]
    # Any centre and any positive weights must do.
    centre = X.mean(axis=0) + noise * rng.normal(size=p)
    columns = Columns(centre, X.var(axis=0) * np.exp(noise * rng.normal(size=p)))
    here = evaluate(problem, point, Order.HESSIAN, "test", ellipsoid=ellipsoid_of(columns))
    step = problem.without_shift(-Factor.of(here.hessian).solve(here.gradient))
    decrement = np.sqrt(max(-float(step @ here.gradient), 0.0))
    change = largest_change(problem, step, columns, here.radius)
    coef, intercept = problem.packing.unpack(step)
    moved = X @ coef.T + intercept
    present = slice(None) if weight is None else weight > 0
    if isinstance(problem.loss, HalfMultinomialLoss):
        true_change = np.ptp(moved[present], axis=1).max()
    else:
        true_change = np.abs(moved[present]).max()
    assert true_change <= change * (1 + 1e-9) + 1e-12
    after = dense_decrement(problem, X, y, point + step, weight)
    assert after <= decrement * remainder(change) * (1 + 1e-6) + 1e-9


@given(st.floats(0.0, 30.0))
def test_the_remainder_is_the_formula_and_never_below_it(change):
    found = remainder(change)
    if change == 0.0:
        assert found == 0.0
    elif change > 20.0:
        assert found == np.inf
    else:
        exact = np.exp(change / 2) * (np.expm1(change) - change) / change
        series = change / 2 + 5 * change**2 / 12
        expected = series if change < 1e-3 else exact
        assert found >= expected * (1 - 1e-6)
        assert found <= expected * (1 + 1e-3)


def data(rng, n=1500, p=4):
    X = rng.normal(size=(n, p))
    return X, (X @ np.arange(1, p + 1) + 2 * rng.logistic(size=n) > 0).astype(float)


def test_the_reported_error_bounds_the_true_one(rng):
    X, y = data(rng)
    for tol in (1e-2, 1e-4, 1e-6, 1e-8):
        problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
        solution = run(Newton(), problem, tol=tol)
        error = solution.history[-1]["error"]
        assert dense_decrement(problem, X, y, solution.parameters) <= error <= tol


def test_no_pass_is_spent_on_verifying(rng):
    """The last pass is made where the error is not yet small; the bound vouches for the step."""
    X, y = data(rng)
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
    solution = run(Newton(), problem, tol=1e-8)
    tolerant = run(Newton(), problem, start=solution.parameters, tol=1e-8)
    assert tolerant.n_iter == 1
    last = solution.history[-1]["gradient_norm"]
    assert last > 1e-8


def test_steps_too_long_are_halved_until_they_descend(rng):
    X, y = data(rng)
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1e-6)
    solution = run(Newton(), problem, start=np.full(5, 40.0), tol=1e-9)
    steps = [entry["step"] for entry in solution.history]
    assert min(steps) < 1.0
    assert dense_decrement(problem, X, y, solution.parameters) <= 1e-9


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("extra", ["doubled", "zero", "constant", "dummies"])
def test_dependent_columns_without_a_penalty(extra, n_classes, rng):
    """The fit is that without the extra columns, and the coefficients stay small."""
    n = 900
    X = rng.normal(size=(n, 3))
    y = np.digitize(X[:, 0] + rng.logistic(size=n), [0.0] if n_classes == 2 else [-1.0, 1.0])
    group = rng.integers(0, 3, n)
    added = {
        "doubled": X[:, :1],
        "zero": np.zeros((n, 1)),
        "constant": np.ones((n, 1)),
        "dummies": np.eye(3)[group],
    }[extra]
    reduced = np.hstack([X, added[:, 1:]]) if extra == "dummies" else X
    for scale in (1.0, 1e4):
        model = LogisticRegression(C=np.inf).fit(np.hstack([X * scale, added]), y)
        expected = LogisticRegression(C=np.inf).fit(reduced, y)
        np.testing.assert_allclose(
            model.predict_proba(np.hstack([X * scale, added])),
            expected.predict_proba(reduced),
            rtol=1e-6,
            atol=1e-9,
        )
        assert np.abs(model.coef_).max() < 10.0


def test_columns_of_zeros_alone_report_no_error():
    model = LogisticRegression(solver="newton").fit(np.zeros((10, 2)), np.arange(10) % 2)
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.history_[-1]["error"] == 0.0


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_separable_data_without_a_penalty_end_in_a_warning(solver, n_classes, weighted, rng):
    edges = [0.0] if n_classes == 2 else [-0.5, 0.5]
    X = rng.normal(size=(2000, 3))
    score = X[:, 0] + 0.5 * X[:, 1]
    if solver == "gradient_descent":  # first-order methods find a narrow gap after ages only
        wide = np.abs(score[:, None] - edges).min(axis=1) > 0.2
        X, score = X[wide], score[wide]
    n, y = len(X), np.digitize(score, edges)
    weight = None
    if weighted:  # a row of no weight is absent, whatever its label
        weight = np.ones(n)
        weight[0], y[0] = 0.0, (y[0] + 1) % n_classes
    model = LogisticRegression(C=np.inf, solver=solver, max_iter=2000)
    with pytest.warns(SeparableWarning, match="perfectly separable"):
        model.fit(X, y, weight)
    assert model.n_iter_[0] < 400
    assert np.isfinite(model.coef_).all()
    present = slice(None) if weight is None else weight > 0
    assert model.score(X[present], y[present]) == 1.0
    # With a penalty there is a minimum, and no warning.
    LogisticRegression(C=10.0, solver=solver, max_iter=5000, tol=1e-6).fit(X, y, weight)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient_descent"])
def test_too_few_steps_end_in_a_warning_that_says_so(solver, rng):
    X, y = data(rng)
    model = LogisticRegression(solver=solver, max_iter=2)
    with pytest.warns(ConvergenceWarning, match=f"{solver} did not converge in max_iter=2") as seen:
        model.fit(X, y)
    assert not any(issubclass(each.category, SeparableWarning) for each in seen)
    assert model.n_iter_[0] == 2
    assert seen[0].filename.endswith("linear_model/logistic.py") or seen[0].filename == __file__


def test_tol_zero_ends_at_the_limit_of_rounding(rng):
    X, y = data(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(tol=0.0, solver="newton").fit(X, y)
    assert model.n_iter_[0] < 30


@pytest.mark.parametrize("seed", range(3))
def test_six_steps_without_progress_within_rounding_end_a_fit(seed):
    """Separable classes with hardly any penalty: the curvature left is as small as rounding."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(float)
    X[:, 0] += 0.2 * np.sign(X[:, 0])
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1e-14)
    with pytest.warns(ConvergenceWarning, match="limit of floating-point precision"):
        solution = run(Newton(), problem, tol=0.0, max_iter=100)
    assert solution.status is Status.STALLED
    assert solution.state.since_best == 6
