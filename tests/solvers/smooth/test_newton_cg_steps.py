"""Every step of Newton-CG and the number of its passes, against its formulas on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from dlbd_estimators.solvers.smooth.newton_cg import NewtonCG
from tests.solvers.dense import dense_derivatives
from tests.solvers.steps import (
    assert_same_steps,
    largest_change,
    problem_for,
    relative_error,
    remainder,
    small,
    steps_of,
    variances,
    without_shift,
)


def blocks_of(problem, hessian):
    """The preconditioner: the outputs' own blocks; and the largest of their condition numbers."""
    width, condition = problem.packing.shape[1], 1.0
    parts = [hessian[i : i + width, i : i + width] for i in range(0, len(hessian), width)]
    for part in parts:
        scale = np.sqrt(np.diag(part))
        condition = max(condition, np.linalg.cond(part / scale / scale[:, None], 1))
    return linalg.block_diag(*parts), condition


def conjugate_gradients(problem, hessian, gradient, metric, share, enough):
    """Steps until the residual's norm in the metric is small; what is left; the least curvature."""
    project = np.array([without_shift(problem, row) for row in np.eye(len(metric))])
    solve = project @ np.linalg.inv(metric) @ project
    step, residual, directions = np.zeros(len(gradient)), -gradient, []
    towards = direction = solve @ residual
    size = first = residual @ towards
    while size > max(share**2 * first, enough**2):
        directions.append(direction)
        length = size / (direction @ hessian @ direction)
        step, residual = step + length * direction, residual - length * hessian @ direction
        towards = solve @ residual
        before, size = size, residual @ towards
        direction = towards + size / before * direction
    if not directions:
        return step, np.sqrt(size), 0, 1.0
    # The least curvature relative to the metric, of all directions in the space that was searched.
    space = np.array(directions).T / np.linalg.norm(directions, axis=1)
    metric = np.linalg.pinv(solve, rcond=1e-13)
    least = linalg.eigh(space.T @ hessian @ space, space.T @ metric @ space, eigvals_only=True)[0]
    return step, np.sqrt(size / least), len(directions), least


def reference(problem, X, y, weight, tol, start):
    """Newton's method with halving, each step by conjugate gradients; with the passes so far."""
    w, base, tried, slope, seen, n_passes = start, None, 1.0, 0.0, False, 0
    unit = np.sqrt(variances(y, weight).sum()) if problem.loss.quadratic else 1.0
    steps = []
    while True:
        n_passes += 1
        value, gradient, hessian = dense_derivatives(problem, X, y, w, weight)
        if base is not None and value > base[1] - 1e-4 * tried * slope + 1e-14:
            tried /= 2
            w = base[0] + (w - base[0]) / 2
            steps.append({"value": value, "error": np.inf, "step": tried, "n_passes": n_passes})
            continue
        metric, condition = blocks_of(problem, hessian)
        inverse = np.diag(np.linalg.inv(metric))
        least = 4 * np.finfo(float).eps * np.sqrt(condition) * unit
        wanted = max(tol / relative_error(problem, w, X, weight, inverse), least)
        share = min(0.25, np.sqrt(np.sqrt(gradient @ np.linalg.solve(metric, gradient)) / unit))
        step, left, products, smallest = conjugate_gradients(
            problem, hessian, gradient, metric, share, 0.1 * wanted
        )
        n_passes += products
        slope = -step @ gradient
        decrement, change = np.sqrt(slope), largest_change(problem, step, X, weight)
        if not (seen or problem.loss.quadratic):
            change = np.inf  # the first pass does not know the norms of the rows
        seen = True
        per_decrement = relative_error(problem, w + step, X, weight, inverse / min(smallest, 1.0))
        near = max(tol / per_decrement, least)
        error, done = (decrement * remainder(change) + left) * per_decrement, False
        if problem.loss.quadratic and decrement > near:
            error = np.inf  # the residual is only an estimate: the next pass has to confirm it
        elif decrement + left <= near:
            error, done = min(error, (decrement + left) * per_decrement), True
        steps.append({"value": value, "error": error, "step": tried, "n_passes": n_passes})
        base, tried = (w, value), 1.0
        w = w + step
        if done or error <= tol:
            return steps, w


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes"])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_and_its_passes_are_those_of_the_formulas(kind, fit_intercept, far):
    # So few rows that the preconditioner is formed from all of them.
    X, y, weight = small(kind, n=120 if kind == "classes" else 39)
    problem = problem_for(kind, X, y, weight, fit_intercept=fit_intercept)
    start = np.zeros(problem.packing.size)
    if far:
        start = problem.admissible(np.random.default_rng(1).normal(size=len(start)))
    states = steps_of(NewtonCG(), problem, start=start, tol=1e-7)
    expected, parameters = reference(problem, X, y, weight, 1e-7, start)
    assert_same_steps(states, expected, rtol=1e-3)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_squares_need_one_product_and_a_pass_that_confirms_it(fit_intercept):
    X, y, weight = small("targets", n=39)
    problem = problem_for("targets", X, y, weight, fit_intercept=fit_intercept)
    start = np.random.default_rng(1).normal(size=problem.packing.size)
    states = steps_of(NewtonCG(), problem, start=start, tol=1e-7)
    expected, parameters = reference(problem, X, y, weight, 1e-7, start)
    assert_same_steps(states[:1], expected[:1])
    assert len(states) == 2
    assert states[-1].n_passes <= expected[-1]["n_passes"] + 1  # rounding may ask for a product
    assert states[-1].error <= 1e-7
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-6)
