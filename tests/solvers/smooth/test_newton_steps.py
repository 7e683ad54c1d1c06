"""Every step of Newton's method, against its formulas on whole arrays."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.smooth import newton
from dlbd_estimators.solvers.smooth.important_rows import CorrectedStep
from dlbd_estimators.solvers.smooth.newton import Newton, NewtonState
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import dense_derivatives
from tests.solvers.smooth.test_important_rows import in_blocks, rows_of
from tests.solvers.steps import (
    assert_same_steps,
    largest_change,
    problem_for,
    regular,
    relative_error,
    remainder,
    small,
    steps_of,
    variances,
    without_shift,
)


def condition(problem, X, hessian, weight):
    """The condition number after centring the columns and scaling to a unit diagonal."""
    outputs, width = problem.packing.shape
    change = np.eye(width)
    if problem.packing.fit_intercept:
        change[-1, :-1] = -np.average(X, axis=0, weights=weight)
    change = np.kron(np.eye(outputs), change)
    centred = change.T @ hessian @ change
    scale = np.sqrt(np.diag(centred))
    return np.linalg.cond(centred / scale / scale[:, None], 1)


def reference(problem, X, y, weight, tol, start, epsilon):
    """Newton's method with halving; ``epsilon`` is that of the Hessian's entries."""
    w, base, tried, slope, seen = start, None, 1.0, 0.0, False
    unit = np.sqrt(variances(y, weight).sum()) if problem.loss.quadratic else 1.0
    steps, best, since_best = [], np.inf, 0
    while True:
        value, gradient, hessian = dense_derivatives(problem, X, y, w, weight)
        hessian = regular(problem, hessian)
        if base is not None and value > base[1] - 1e-4 * tried * slope + 1e-14:
            tried /= 2
            w = base[0] + (w - base[0]) / 2
            steps.append({"value": value, "error": np.inf, "step": tried})
            steps[-1].update(best=best, since_best=since_best)
            continue
        step = without_shift(problem, -np.linalg.solve(hessian, gradient))
        slope = -step @ gradient
        decrement, ill = np.sqrt(slope), condition(problem, X, hessian, weight)
        change = largest_change(problem, step, X, weight)
        if not (seen or problem.loss.quadratic):
            change = np.inf  # the first pass does not know the norms of the rows
        seen = True
        per_decrement = relative_error(
            problem, w + step, X, weight, np.diag(np.linalg.inv(hessian))
        )
        error = decrement * (remainder(change) + 4 * epsilon * ill) * per_decrement
        least = 4 * np.finfo(float).eps * np.sqrt(ill) * unit
        done = decrement <= max(tol / per_decrement, least)
        if done:
            error = min(error, decrement * per_decrement)
        since_best = 0 if decrement / unit < 0.9 * best else since_best + 1
        best = min(best, decrement / unit)
        steps.append({"value": value, "error": error, "step": tried})
        steps[-1].update(best=best, since_best=since_best)
        base, tried = (w, value), 1.0
        w = w + step
        if done or error <= tol:
            return steps, w


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_is_that_of_the_formulas(kind, fit_intercept, far):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight, fit_intercept=fit_intercept)
    start = np.zeros(problem.packing.size)
    if far:
        start = problem.admissible(np.random.default_rng(1).normal(size=len(start)) * 3.0)
    state = NewtonState(start, hessian_dtype="float64")
    states = steps_of(Newton(), problem, start=state, tol=1e-7)
    expected, parameters = reference(problem, X, y, weight, 1e-7, start, np.finfo(float).eps)
    assert_same_steps(states, expected, rtol=2e-4)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-6, atol=1e-9)
    assert states[-1].n_passes == len(expected)
    assert {state.error_is for state in states if np.isfinite(state.error)} == {"bound"}


@pytest.mark.parametrize("kind", ["two classes", "classes"])
def test_one_pass_is_enough_from_a_start_within_the_tolerance(kind):
    """It does not know the norms of the rows, so the error is that of the decrement itself."""
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight)
    best = steps_of(Newton(), problem)[-1].parameters
    spread = np.tile(np.append(X.std(axis=0), 1.0), problem.packing.n_outputs)
    away = 1e-3 * np.random.default_rng(1).normal(size=len(best)) / spread
    start = problem.admissible(best + away)
    state = NewtonState(start, hessian_dtype="float64")
    states = steps_of(Newton(), problem, start=state, tol=0.1)
    expected, _ = reference(problem, X, y, weight, 0.1, start, np.finfo(float).eps)
    assert len(states) == 1
    assert_same_steps(states, expected)
    assert 1e-4 < states[0].error <= 0.1
    assert states[0].status is Status.CONVERGED


def test_the_rounding_of_a_float32_hessian_is_in_the_bound():
    X, y, weight = small("targets")
    problem = problem_for("targets", X, y, weight)
    start, epsilon = np.zeros(problem.packing.size), np.finfo(np.float32).eps
    states = steps_of(Newton(), problem, tol=1e-7)
    expected, _ = reference(problem, X, y, weight, 1e-7, start, epsilon)
    assert len(states) == len(expected) == 2
    assert states[0].error == pytest.approx(expected[0]["error"], rel=1e-4)


def test_an_estimate_is_six_standard_errors_at_the_corrected_point(monkeypatch):
    X, y, weight = small("two classes")
    problem = problem_for("two classes", X, y, weight)
    rng = np.random.default_rng(1)
    point, step, shorter, variance = rng.uniform(0.5, 2.0, size=(4, problem.packing.size))
    columns = Columns(np.average(X, axis=0, weights=weight), variances(X, weight))
    options = problem, None, SimpleNamespace(point=point), step, None, columns
    monkeypatch.setattr(newton, "corrected", lambda *_: CorrectedStep(shorter, variance))
    found, estimate = newton._corrected(*options)
    assert found is shorter
    expected = 6 * relative_error(problem, point + shorter, X, weight, variance)
    assert estimate == pytest.approx(expected)
    monkeypatch.setattr(newton, "corrected", lambda *_: None)
    assert newton._corrected(*options) == (step, np.inf)


@pytest.mark.parametrize("more", [(0, 0), (1, 0), (0, 1)])
def test_a_smaller_sample_is_enough_if_rows_are_kept_to_correct_its_error(more, monkeypatch):
    # 6,400 rows; four parameters, and a quarter of all rows may be kept.
    problem = in_blocks(*rows_of(np.random.default_rng(3), "plain"))
    *_, smaller, largest = problem.samples
    sampled = 6_400 * len(smaller) / problem.blocks.n_blocks / 4
    monkeypatch.setattr(newton, "_ROWS_PER_PARAMETER", sampled + more[0])
    monkeypatch.setattr(newton, "_ENOUGH_ROWS", sampled * 1_600 / 4 + more[1])
    assert newton._samples(problem)[-1] == (smaller if more == (0, 0) else largest)


def test_all_samples_are_solved_if_there_is_no_smaller_one(monkeypatch):
    problem = in_blocks(*rows_of(np.random.default_rng(3), "plain"))
    monkeypatch.setattr(newton, "_ROWS_PER_PARAMETER", 0)
    monkeypatch.setattr(newton, "_ENOUGH_ROWS", 0)
    few = replace(problem, blocks=replace(problem.blocks, n_blocks=8, sizes=None))
    assert len(few.samples) == 1
    assert newton._samples(few) == few.samples
