"""Every solver on every problem: the Newton decrement at the solution, by plain NumPy, is small."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfSquaredError,
)
from dlbd_estimators.linear_model.choose_solver import SOLVERS, choose
from dlbd_estimators.solvers import Status
from tests.solvers.dense import dense_decrement, dense_derivatives, problem_of, run

N = 3000
TOL = 1e-9


def features(rng, kind):
    X = rng.normal(size=(N, 4))
    if kind == "scaled":
        return X * [1e-3, 1.0, 30.0, 1e3]
    if kind == "shifted":
        return X + np.array([0.0, 5.0, -20.0, 100.0])
    if kind == "correlated":
        return X @ np.array([[1, 0.9, 0, 0], [0, 1, 0.9, 0], [0, 0, 1, 0.9], [0, 0, 0, 1.0]])
    return X


def targets(rng, X, loss):
    centred = (X - X.mean(axis=0)) / X.std(axis=0)
    score = centred @ [1.0, -0.5, 0.3, 0.2] + rng.logistic(size=N)
    if isinstance(loss, HalfSquaredError):
        return np.column_stack([100 * score, score - centred[:, 1]]), 2
    if isinstance(loss, HalfBinomialLoss):
        return (score > 0.5).astype(float), 1
    return np.digitize(score, [-1.0, 1.0]).astype(float), 3


PROBLEMS = [
    pytest.param(loss, strength, fit_intercept, id=f"{loss.name}-{strength:g}-{fit_intercept}")
    for loss in (HalfSquaredError(), HalfBinomialLoss(), HalfMultinomialLoss())
    for strength in (0.0, 10.0)
    for fit_intercept in (True, False)
]


@pytest.mark.parametrize("kind", ["plain", "scaled", "shifted", "correlated"])
@pytest.mark.parametrize(("loss", "strength", "fit_intercept"), PROBLEMS)
@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_solution_is_the_minimum(name, loss, strength, fit_intercept, kind, rng):
    solver = SOLVERS[name]()
    X = features(rng, kind)
    y, n_outputs = targets(rng, X, loss)
    weight = rng.integers(0, 3, N).astype(float)
    problem = problem_of(
        X,
        y,
        loss,
        n_outputs=n_outputs,
        strength=strength,
        fit_intercept=fit_intercept,
        weight=weight,
    )
    if not solver.needs <= problem.provides:
        with pytest.raises(ValueError, match=f"solver='{name}' needs .*(quadratic|l1)"):
            choose(name, problem)
        return
    if name in ("gradient_descent", "nesterov") and kind == "shifted" and not fit_intercept:
        pytest.skip("an ill-conditioned problem that no scaling of single columns mends")
    solution = run(solver, problem, tol=TOL)
    assert solution.status is Status.CONVERGED
    unit = solution.state.known.unit
    assert dense_decrement(problem, X, y, solution.parameters, weight) / unit <= 3 * TOL
    assert solution.history[-1]["error"] <= TOL or name == "gram"
    value, _, _ = dense_derivatives(problem, X, y, solution.parameters, weight)
    assert solution.history[-1]["loss"] == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert solution.n_iter == len(solution.history)
    assert solution.n_passes == solution.history[-1]["pass"] == solution.state.n_passes


@pytest.mark.parametrize("name", ["newton", "lbfgs", "gradient_descent"])
def test_history_tells_passes_loss_and_bytes(name, rng):
    X = features(rng, "plain")
    y, _ = targets(rng, X, HalfBinomialLoss())
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
    history = run(SOLVERS[name](), problem).history
    assert [entry["iteration"] for entry in history] == list(range(1, len(history) + 1))
    for before, after in pairwise(history):
        assert after["pass"] >= before["pass"] + 1
        assert after["bytes_read"] > before["bytes_read"]
        assert after["seconds"] >= before["seconds"]
    assert history[-1]["loss"] <= history[0]["loss"] == pytest.approx(np.log(2))
    assert set(history[0]) == {
        "iteration", "pass", "loss", "gradient_norm", "error", "error_is", "step", "seconds",
        "bytes_read",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("loss", [HalfBinomialLoss(), HalfMultinomialLoss()], ids=lambda x: x.name)
def test_a_start_far_away_is_brought_back(name, loss, rng):
    X = features(rng, "plain")
    y, n_outputs = targets(rng, X, loss)
    problem = problem_of(X, y, loss, n_outputs=n_outputs, strength=1.0)
    start = 50.0 * rng.normal(size=problem.packing.size)
    solution = run(SOLVERS[name](), problem, start=start, tol=TOL)
    assert dense_decrement(problem, X, y, solution.parameters) <= 3 * TOL


@pytest.mark.parametrize("name", ["newton", "lbfgs", "gradient_descent"])
def test_a_start_at_the_minimum_stays_there(name, rng):
    X = features(rng, "plain")
    y, _ = targets(rng, X, HalfBinomialLoss())
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1.0)
    found = run(SOLVERS["newton"](), problem, tol=1e-12).parameters
    again = run(SOLVERS[name](), problem, start=found, tol=1e-6)
    np.testing.assert_allclose(again.parameters, found, rtol=1e-6)
    assert again.n_iter <= 3


@pytest.mark.parametrize("name", ["newton", "lbfgs", "gradient_descent"])
def test_steps_that_were_too_long_are_told_in_the_history(name, rng):
    """The loss of accepted points never rises, whatever was tried between them."""
    X = features(rng, "plain")
    y, _ = targets(rng, X, HalfBinomialLoss())
    problem = problem_of(X, y, HalfBinomialLoss(), strength=1e-3)
    solution = run(SOLVERS[name](), problem, start=np.array([30.0, -20, 10, 5, -40]), tol=1e-6)
    losses = np.array([entry["loss"] for entry in solution.history])
    assert losses[-1] <= losses.min() * (1 + 1e-9)
