"""What `error` says of the coefficients: in standard units, relative to the largest of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import ElasticNet, Lasso, LogisticRegression
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.smooth.newton import Newton
from tests.solvers.dense import dense_decrement, dense_derivatives, evaluate, problem_of, run


def coefs(problem, parameters):
    return parameters.reshape(problem.packing.shape)[:, : problem.packing.n_features]


def true_error(problem, X, parameters, best):
    """By the definition; of least squares, the worst of the targets."""
    scale = X.std(axis=0)
    off = np.abs(coefs(problem, parameters) - coefs(problem, best)) * scale
    largest = (np.abs(coefs(problem, best)) * scale).max(axis=1, keepdims=True)
    if not problem.loss.quadratic:
        largest = largest.max(keepdims=True)
    return float((off / largest).max())


def drawn(seed, kind, n=400, p=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    X = X * 10.0 ** rng.integers(-3, 4, p) + rng.choice([0.0, 1.0, 50.0], p)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(p, 3)) * rng.choice([0.1, 1.0])
    if kind == "classes":
        return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1).astype(float)
    if kind == "targets":
        return X, (z + rng.normal(size=z.shape)) * [1e-2, 1.0, 1e2]
    return X, (z[:, 0] > rng.logistic(size=n)).astype(float)


LOSSES = {
    "two classes": (HalfBinomialLoss(), 1),
    "classes": (HalfMultinomialLoss(), 3),
    "targets": (HalfSquaredError(), 3),
}


def problem_for(kind, X, y, strength):
    loss, n_outputs = LOSSES[kind]
    return problem_of(X, y, loss, n_outputs=n_outputs, strength=strength)


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["two classes", "classes"]),
    strength=st.sampled_from([1e-2, 1.0, 100.0]),
    tol=st.sampled_from([1e-1, 1e-3, 1e-6]),
)
def test_newtons_bound_is_never_below_the_true_error(seed, kind, strength, tol):
    X, y = drawn(seed, kind)
    problem = problem_for(kind, X, y, strength)
    best = run(Newton(), problem, tol=1e-12, quiet=True)
    found = run(Newton(), problem, tol=tol)
    last = found.history[-1]
    assert last["error_is"] == "bound"
    assert true_error(problem, X, found.parameters, best.parameters) <= last["error"] + 1e-11
    assert last["error"] <= tol


@pytest.mark.parametrize("kind", ["two classes", "classes"])
def test_the_last_bound_is_seldom_above_a_thousand_times_the_true_error(kind):
    """A step may be far better than any bound: one of twelve. Below 1e-12 is only rounding."""
    ratios = []
    for seed in range(12):
        X, y = drawn(seed, kind)
        problem = problem_for(kind, X, y, 1.0)
        best = run(Newton(), problem, tol=1e-12, quiet=True)
        found = run(Newton(), problem, tol=1e-6)
        truth = true_error(problem, X, found.parameters, best.parameters)
        ratios.append(found.history[-1]["error"] / max(truth, 1e-12))
    assert sum(ratio > 1_000.0 for ratio in ratios) <= 1
    assert np.median(ratios) <= 100.0


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(sorted(LOSSES)),
    strength=st.sampled_from([1e-2, 100.0]),
)
def test_a_decrement_bounds_each_coefficient(seed, kind, strength):
    """The bound is on the quadratic, so it is looked at near the minimum."""
    X, y = drawn(seed, kind)
    problem = problem_for(kind, X, y, strength)
    best = run(Newton(), problem, tol=1e-12, quiet=True)
    problem = problem.with_known(best.state.known)
    _, _, hessian = dense_derivatives(problem, X, y, best.parameters)
    rng = np.random.default_rng(seed)
    inverse = np.linalg.pinv(hessian, rcond=1e-13)
    direction = inverse @ (hessian @ rng.normal(size=len(hessian)))
    small = 1e-5 / np.sqrt(direction @ hessian @ direction) * problem.unit
    there = best.parameters + small * direction
    decrement = dense_decrement(problem, X, y, there) / problem.unit
    factor = error_of_decrement(problem, best.parameters, X.var(axis=0), np.diag(inverse))
    assert true_error(problem, X, there, best.parameters) <= decrement * factor * (1 + 1e-3)


@pytest.mark.parametrize("name", ["newton", "newton_cg", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_all_solvers_mean_the_same(kind, name):
    """Estimates are not proven; on these problems, which are easy ones, they hold."""
    for seed in range(2):
        X, y = drawn(seed, kind)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        y = y / np.array([1e-2, 1.0, 1e2]) if kind == "targets" else y
        problem = problem_for(kind, X, y, 1.0)
        best = run(Newton(), problem, tol=1e-11, quiet=True)
        found = run(SOLVERS[name](), problem, tol=1e-5)
        last = found.history[-1]
        assert last["error_is"] == ("bound" if name == "newton" else "estimate")
        assert true_error(problem, X, found.parameters, best.parameters) <= 3 * last["error"]
        assert last["error"] <= 1e-5


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient_descent"])
def test_units_of_the_columns_change_no_error(solver):
    X, y = drawn(1, "two classes")
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    scale = 2.0 ** np.array([-20, 0, 3, 20])
    problems = [problem_for("two classes", each, y, 0.0) for each in (X, X * scale)]
    # Columns that are nearly collinear: gradient descent finds ten short steps in a row late.
    max_iter = 100 if solver == "gradient_descent" else 9
    fits = [run(SOLVERS[solver](), each, max_iter=max_iter, quiet=True) for each in problems]
    errors = [[entry["error"] for entry in found.history] for found in fits]
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-4)
    assert np.isfinite(errors[0]).any()


def test_no_column_that_varies_leaves_the_decrement_itself():
    X, y = np.ones((200, 2)), np.arange(200) % 4 == 0
    problem = problem_of(X, y.astype(float), HalfBinomialLoss(), strength=1.0)
    here = np.zeros(3)
    assert error_of_decrement(problem, here, X.var(axis=0), np.ones(3)) == 1.0
    model = LogisticRegression().fit(X, y)
    assert model.intercept_[0] == pytest.approx(np.log(1 / 3))


def test_coefficients_count_as_a_millionth_of_the_allowed_change_at_least():
    problem = problem_of(*drawn(0, "two classes"), HalfBinomialLoss())
    variance, inverse = np.array([4.0, 1.0, 9.0, 1.0]), np.array([1.0, 25.0, 1.0, 4.0, 100.0])
    for size, error in ((0.0, 1e6), (2e-6, 1e6), (1e-5, 5e5), (2.5, 2.0)):  # 5 is allowed
        parameters = np.array([0.0, 0.0, size / 3.0, 0.0, 7.0])
        found = error_of_decrement(problem, parameters, variance, inverse)
        assert found == pytest.approx(error)


@pytest.mark.parametrize(("scale", "unit"), [(0.0, 1.0), (3.0, 3.0)])
def test_a_constant_target_leaves_decrements_in_their_units(scale, unit):
    y = 5.0 + scale * np.resize([1.0, -1.0], 200)
    problem = problem_of(drawn(0, "two classes")[0][:200], y, HalfSquaredError())
    here = evaluate(problem, np.zeros(problem.packing.size), Order.GRADIENT, "test", moments=True)
    assert here.known.unit == pytest.approx(unit)


def test_columns_that_say_nothing_are_no_reason_to_go_on():
    """Balanced to the last row: coefficients are zero, and rounding is no error of theirs."""
    X = np.tile([[-1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]], (100, 1))
    y = np.repeat(np.arange(100) % 2, 4)
    for C in (1.0, np.inf):
        model = LogisticRegression(C=C).fit(X, y)
        assert model.history_[-1]["error"] <= model.tol
        np.testing.assert_allclose(model.coef_, 0.0, atol=1e-12)


@given(
    seed=st.integers(0, 10_000),
    l1_ratio=st.sampled_from([0.0, 0.5, 1.0]),
    alpha=st.sampled_from([1e-3, 0.1]),
    dtype=st.sampled_from(["float32", "float64"]),
    positive=st.booleans(),
)
def test_elastic_nets_error_is_not_below_the_true_one(seed, l1_ratio, alpha, dtype, positive):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(200, 6)) * 10.0 ** rng.integers(-2, 3, 6)).astype(dtype)
    y = X / X.std(axis=0) @ rng.normal(size=6) + rng.normal(size=200)
    options = {"alpha": alpha, "l1_ratio": l1_ratio, "positive": positive}
    model = ElasticNet(**options).fit(X, y)
    with warnings.catch_warnings():  # rounding may end it before, as near as float64 can be
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = ElasticNet(**options, tol=1e-13).fit(X.astype(float), y)
    scale = X.std(axis=0)
    largest = (np.abs(best.coef_) * scale).max()
    last = model.history_[-1]
    off = (np.abs(model.coef_ - best.coef_) * scale).max()
    assert off <= (last["error"] + 1e-12) * largest
    assert last["error"] <= model.tol


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_rounding_ends_is_the_better_of_the_last_two_points():
    """Targets without noise: what a step mends is less than its own rounding."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(300, 40))
        y = X @ rng.normal(size=40) * 100
        model = ElasticNet(alpha=0.0, tol=1e-16).fit(X, y)
        errors = [entry["error"] for entry in model.history_]
        assert errors[-1] == min(errors)


def test_with_more_columns_than_rows_the_error_is_an_estimate():
    rng = np.random.default_rng(0)
    for shape, kind in (((500, 5), "bound"), ((20, 60), "estimate")):
        X = rng.normal(size=shape)
        model = Lasso(alpha=0.1).fit(X, X[:, 0] + rng.normal(size=len(X)))
        assert model.history_[-1]["error_is"] == kind
