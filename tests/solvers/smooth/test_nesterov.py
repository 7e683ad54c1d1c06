"""Every step of the accelerated gradient method, against its formulas on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.solvers.smooth.nesterov import Nesterov
from tests.solvers.dense import dense_derivatives
from tests.solvers.steps import (
    assert_same_steps,
    largest_change,
    problem_for,
    relative_error,
    small,
    steps_of,
)


def is_near(problem, newton, X, weight):
    """Return whether a Newton step is so short that a minimum is near; with a penalty, always."""
    return not problem.may_separate or largest_change(problem, newton, X, weight) < 0.5


def reference(problem, X, y, weight, n_steps, start):
    """Nesterov's method in the coordinates ``u_j = c_j w_j``, ``u_b = c_b (b + mean . w)``."""
    outputs, n = problem.packing.n_outputs, X.shape[1]
    mean = np.average(X, axis=0, weights=weight)
    second = np.average((X - mean) ** 2, axis=0, weights=weight)
    if not problem.packing.fit_intercept:
        second = np.average(X**2, axis=0, weights=weight)
    bound = problem.loss.curvature_bound
    scale = np.sqrt(bound * second + problem.penalty.strength / weight.sum())
    change = np.diag(1.0 / scale)  # one output's parameters as a function of its coordinates
    if problem.packing.fit_intercept:
        change = np.eye(n + 1)
        change[n, :n] = -mean
        change = change @ np.diag(1.0 / np.append(scale, np.sqrt(bound)))
    change = np.kron(np.eye(outputs), change)
    inverse = np.linalg.inv(change)
    metric = 1.0 / np.diag(inverse) ** 2

    def derivatives(u):
        value, gradient, _ = dense_derivatives(problem, X, y, change @ u, weight)
        return value, change.T @ gradient, np.abs(gradient).max()

    trial = descended = inverse @ start
    smoothness, t, curvatures, accepted, norm = 1.0, 1.0, [], None, np.inf
    steps = []
    for _ in range(n_steps):
        value, gradient, largest = derivatives(trial)
        if accepted is not None:
            before, value_before, gradient_before = accepted
            least = value + gradient @ (before - trial)
            least += np.sum((gradient_before - gradient) ** 2) / (2 * smoothness)
            if value_before < least - 1e-14:
                smoothness, t = 2 * smoothness, 1.0
                trial = descended = before - gradient_before / smoothness
                steps.append(
                    {"value": value, "error": np.inf, "step": 1 / smoothness, "gradient_norm": norm}
                )
                continue
            moved = trial - before
            if moved.any():
                curvatures.append((gradient - gradient_before) @ moved / (moved @ moved))
        accepted = trial, value, gradient
        down = trial - gradient / smoothness
        if gradient @ (down - descended) > 0:  # the momentum points uphill
            t, trial = (1 + np.sqrt(5)) / 2, down
        else:
            following = (1 + np.sqrt(1 + 4 * t**2)) / 2
            trial = down + (t - 1) / following * (down - descended)
            t = following
        descended, error = down, np.inf
        least = min(curvatures[-20:], default=0.0)
        if least > 0 and is_near(problem, change @ gradient / least, X, weight):
            decrement = np.linalg.norm(gradient) / np.sqrt(least)
            error = decrement * relative_error(problem, change @ down, X, weight, metric / least)
        norm = largest
        steps.append(
            {"value": value, "error": error, "step": 1 / smoothness, "gradient_norm": norm}
        )
    return steps, change @ descended


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_is_that_of_the_formulas(kind, fit_intercept, far):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight, fit_intercept=fit_intercept)
    start = np.zeros(problem.packing.size)
    if far:  # the curvature there is so small that the first steps are too long
        start = problem.admissible(np.random.default_rng(1).normal(size=len(start)) * 3.0)
    states = steps_of(Nesterov(), problem, start=start, tol=0.0, max_iter=40)
    expected, parameters = reference(problem, X, y, weight, 40, start)
    assert_same_steps(states, expected)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-8, atol=1e-12)
    assert states[-1].n_passes == 40


def test_an_error_without_a_penalty_needs_a_newton_step_that_changes_predictions_little():
    X, y, weight = small("two classes", noise=3.0)
    problem = problem_for("two classes", X, y, weight, strength=0.0)
    start = np.zeros(problem.packing.size)
    states = steps_of(Nesterov(), problem, start=start, tol=0.0, max_iter=40)
    expected, _ = reference(problem, X, y, weight, 40, start)
    assert_same_steps(states, expected)
    known = np.isfinite([state.error for state in states])
    assert 2 < known.argmax() < 20
