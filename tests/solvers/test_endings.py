"""How fits end: what is told to be right is right, and what has no end is told."""

from __future__ import annotations

import warnings
from dataclasses import replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, SeparableWarning
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers import Status
from tests.solvers.dense import answer, problem_of, run
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
    problem = problem_of(X, y.astype(float), HalfBinomialLoss())
    start = np.array([1.0, 45.0, 0.0])
    with pytest.warns(SeparableWarning):
        solution = run(SOLVERS["newton"](), problem, start=start)
    assert solution.status is Status.QUASI_SEPARABLE


def test_what_a_sparse_model_cannot_tell_from_nothing_is_not_called_zero(rng):
    X = rng.normal(size=(200, 3))
    y = (X[:, 0] + rng.logistic(size=200) > 0).astype(float)
    problem = problem_of(X, y, HalfBinomialLoss(), l1=L1(1.0))
    solution = run(SOLVERS["proximal_newton"](), problem)
    again = run(SOLVERS["proximal_newton"](), problem, start=solution.parameters)
    assert 0.0 < again.history[-1]["error"] <= 1e-9


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("named", [False, True])
def test_columns_that_are_nearly_collinear_are_named(rng, named, solver):
    X = rng.normal(size=(500, 5))
    X[:, 3] = X[:, 1] + 1e-8 * rng.normal(size=500)
    y = (X[:, 0] + X[:, 1] > rng.logistic(size=500)).astype(int)
    found = r"Columns 1 \('b'\), 3 \('d'\) may" if named else "Columns 1, 3 may"
    with pytest.warns(ConvergenceWarning, match=found):
        LogisticRegression(C=np.inf, solver=solver).fit(
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


@pytest.mark.parametrize(
    ("solver", "seed", "n", "n_classes", "heavy", "spread"),
    [
        ("newton", 0, 400, 3, 4, 3.0),
        ("newton", 6, 400, 3, 4, 3.0),
        ("newton", 2, 4000, 3, 4, 3.0),
        ("newton", 6, 4000, 2, 1, 3.0),
        ("lbfgs", 3, 400, 3, 1, 3.0),
        ("lbfgs", 3, 400, 2, 4, 3.0),
        ("lbfgs", 0, 4000, 2, 2, 3.0),
        ("lbfgs", 3, 4000, 3, 4, 3.0),
        ("lbfgs", 15, 4000, 3, 1, 5.0),
        ("lbfgs", 15, 4000, 2, 4, 5.0),
    ],
)
def test_a_long_step_of_rows_far_out_is_not_a_way_without_end(
    solver, seed, n, n_classes, heavy, spread
):
    """They are fitted so well that a step which gains nothing may move them by hundreds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    X[:, -heavy:] = rng.lognormal(0, spread, (n, heavy))
    y = (X @ rng.normal(size=(4, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    model = LogisticRegression(C=np.inf, solver=solver).fit(X, y)
    assert model.history_[-1]["error"] <= model.tol
    expected = LogisticRegression(C=np.inf, solver="newton_cg").fit(X, y)
    scale = X.std(axis=0)
    error = np.abs((model.coef_ - expected.coef_) * scale).max()
    assert error <= 1e-6 * np.abs(expected.coef_ * scale).max()


def amounts(rng, n):
    """Six columns of one row are of one order, from percents to total amounts."""
    y = rng.integers(0, 3, n)
    level = 10.0 ** np.array([0.5, 3.3, 10.0])[y] * np.exp(rng.normal(size=n) * (1 + (y == 2)))
    growth = np.exp(0.6 * np.cumsum(np.abs(rng.normal(size=(n, 6))), axis=1))
    sign = np.where((y == 0)[:, None], np.sign(rng.normal(size=(n, 6))), 1)
    return level[:, None] * growth * sign, y


@pytest.mark.parametrize("seed", range(6))
def test_a_hessian_without_digits_ends_a_fit_early_at_its_best_point(seed):
    """Halving a step of no use led to where the objective was a thousand times that at zero."""
    X, y = amounts(np.random.default_rng(seed), 300)
    with pytest.warns(ConvergenceWarning, match="Columns 0, 1, 2, 3, 4, 5 may"):
        model = LogisticRegression(solver="newton").fit(X, y)
    assert model.n_iter_[0] < 60
    assert model.history_[-1]["loss"] == min(entry["loss"] for entry in model.history_) < 0.5


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_halvings_that_do_not_help_end_where_the_last_step_began(solver, rng):
    """As a step does that is so long that no share of it is short enough."""
    X, y = rng.normal(size=(100, 1)), rng.integers(0, 2, 100).astype(float)
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
    with pytest.warns(ConvergenceWarning):
        begun = run(SOLVERS[solver](), problem, max_iter=1).state
    blocked = replace(begun, parameters=begun.base + 1e-13, tried_step=2.0**-45, slope=1.0)
    blocked = replace(blocked, base_value=-1.0)

    with ThreadExecutor(1) as executor:
        ended = answer(
            SOLVERS[solver]().step(problem, blocked, 1e-10),
            lambda asked: (
                executor.map_reduce(
                    asked.kernel, asked.parameters, problem.blocks, name=asked.name
                ).partial
            ),
        )
    assert ended.status is Status.STALLED
    np.testing.assert_array_equal(ended.parameters, begun.base)
    assert ended.value == -1.0


@pytest.mark.parametrize(
    ("n", "spread", "n_classes", "seed"), [(300, 1e-6, 2, 2), (3000, 1e-6, 3, 2)]
)
def test_the_floor_of_precision_is_not_looked_for_by_halving(n, spread, n_classes, seed):
    """Large coefficients of nearly dependent columns round off more than F itself says."""
    rng = np.random.default_rng(seed)
    X = rng.normal([0, 10, 100, 1000], size=(n, 4))
    X[:, 3] = X[:, 1] + spread * rng.normal(size=n) * X[:, 0]
    seen = np.column_stack([np.ones(n), X[:, 0], X[:, 1] - X[:, 1].mean()])
    y = (seen @ rng.normal(size=(3, n_classes)) * 3 + rng.gumbel(size=(n, n_classes))).argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=np.inf, solver="newton").fit(X, y)
    assert model.n_passes_ < 2 * model.n_iter_[0]


@pytest.mark.parametrize("spread", [1e-4, 1e-5])
def test_lbfgs_does_not_take_nearly_collinear_columns_for_separable(spread):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 4))
    X[:, 2] = rng.lognormal(0, 3, 400)
    X[:, 3] = X[:, 1] + spread * rng.normal(size=400)
    y = (X[:, :3] @ rng.normal(size=(3, 3)) + rng.gumbel(size=(400, 3))).argmax(axis=1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = LogisticRegression(C=np.inf, solver="lbfgs").fit(X, y)
    assert not any(issubclass(each.category, SeparableWarning) for each in told)
    expected = LogisticRegression(C=np.inf, solver="newton_cg").fit(X, y)
    assert model.history_[-1]["loss"] == pytest.approx(expected.history_[-1]["loss"], rel=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_lbfgs_arrives_where_its_sample_misled_it(seed):
    """Rows sorted by class, some columns nearly sums of others, units of all sizes."""
    rng = np.random.default_rng(seed)
    y = np.sort(np.concatenate([np.arange(8), rng.integers(0, 8, 15_992)]))
    hour = rng.uniform(0, 24, len(y))
    delay = 40 * rng.normal(size=len(y)) + 10 * np.sin(y)
    miles = rng.lognormal(7, 0.7, len(y))
    noise = rng.normal(size=(len(y), 2))
    X = np.column_stack(
        [
            np.full(len(y), 2013.0),
            100 * np.floor(hour) + rng.integers(0, 60, len(y)),
            60 * hour,
            delay,
            miles,
            60 * hour + delay + 5 * noise[:, 0],
            miles / 7 + 20 + 5 * noise[:, 1],
        ]
    )
    model = LogisticRegression(solver="lbfgs").fit(
        da.from_array(X, chunks=(1000, -1)), da.from_array(y, chunks=1000)
    )
    expected = LogisticRegression(solver="newton").fit(X, y)
    assert model.history_[-1]["error"] <= model.tol
    spread = X.std(axis=0)
    np.testing.assert_allclose(model.coef_ * spread, expected.coef_ * spread, atol=1e-6)
