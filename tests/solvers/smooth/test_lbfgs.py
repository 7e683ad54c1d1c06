"""Every step of L-BFGS, against the BFGS formula for a whole inverse Hessian."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.evaluation import Columns, Known
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.smooth.lbfgs import LBFGS, LBFGSState
from tests.solvers.dense import dense_derivatives
from tests.solvers.steps import (
    assert_same_steps,
    problem_for,
    regular,
    relative_error,
    small,
    steps_of,
    variances,
)


def standardised(problem, X, weight):
    """The inverse Hessian if columns were independent, and the curvature as large as it can be."""
    n, shape = X.shape[1], problem.packing.shape
    mean, second = np.average(X, axis=0, weights=weight), variances(X, weight)
    change = np.eye(shape[1])
    if problem.packing.fit_intercept:
        change[n, :n] = -mean
    else:
        second = second + mean**2
    bound = problem.loss.curvature_bound
    curvature = np.full(shape[1], bound)
    curvature[:n] = bound * second + problem.penalty.strength / weight.sum()
    return np.kron(np.eye(shape[0]), change @ np.diag(1.0 / curvature) @ change.T)


def inverse_of(pairs, first, *, rescale):
    """The BFGS formula, pair by pair; the last pair fixes the factor of the first matrix."""
    inverse = first
    if pairs and rescale:
        s, change = pairs[-1]
        inverse = first * (s @ change / (change @ first @ change))
    for s, change in pairs:
        left = np.eye(len(s)) - np.outer(s, change) / (s @ change)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ change)
    return inverse


def diagonal_of(pairs, first, *, exact):
    """The diagonal of the inverse Hessian for the error, with a margin of 1,000 for unseen ones."""
    if exact:
        return np.diag(first)
    precise = np.linalg.inv(first)
    least = min(s @ change / (s @ precise @ s) for s, change in pairs)
    return np.diag(first) * 1e6 / least


def reference(problem, X, y, weight, tol, start, hessian=None):
    """BFGS with at most 20 pairs, a new Hessian after three poor steps or 25 without one."""
    w, exact = start, hessian is not None
    first = np.linalg.inv(hessian) if exact else standardised(problem, X, weight)
    base, tried, slope, rate, last, n_poor = None, 1.0, 0.0, 1.0, np.inf, 0
    pairs, steps, renews, unit = [], [], False, 1.0
    if problem.loss.quadratic:
        unit = np.sqrt(variances(y, weight).sum())
    while True:
        value, gradient, hessian = dense_derivatives(problem, X, y, w, weight)
        norm = np.abs(gradient).max()
        if base is not None and value > base[1] - 1e-4 * tried * slope + 1e-14:
            # To the minimum of the parabola through both values and the slope at the base.
            excess = value - base[1] + tried * slope
            factor = np.clip(0.5 * tried * slope / excess, 0.1, 0.5)
            w, tried = base[0] + factor * (w - base[0]), tried * factor
            steps.append({"value": value, "error": np.inf, "step": tried, "gradient_norm": norm})
            continue
        if renews:
            first, exact, pairs = np.linalg.inv(regular(problem, hessian)), True, []
            base, last, rate, n_poor, renews = None, np.inf, 1.0, 0, False
        if base is not None:
            pairs = [*pairs, (w - base[0], gradient - base[2])][-20:]
        inverse = inverse_of(pairs, first, rescale=not exact)
        direction = -inverse @ gradient
        slope = -direction @ gradient
        decrement = np.sqrt(slope) / unit
        new_rate = decrement / last if tried == 1.0 and np.isfinite(last) else 1.0
        error = np.inf
        if pairs or exact:
            error = decrement * unit * min(1.0, 4.0 * max(new_rate, rate))
            diagonal = diagonal_of(pairs, first, exact=exact)
            error *= relative_error(problem, w + direction, X, weight, diagonal)
        poor = new_rate > 0.5 and np.isfinite(last)
        n_poor = n_poor + 1 if poor or not exact else 0
        renews = n_poor >= (3 if exact else 25)
        steps.append({"value": value, "error": error, "step": tried, "gradient_norm": norm})
        base, tried, rate, last = (w, value, gradient), 1.0, new_rate, decrement
        w = w + direction
        if error <= tol:
            return steps, w


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_is_that_of_the_formula(kind, fit_intercept, far):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight, fit_intercept=fit_intercept)
    start = np.zeros(problem.packing.size)
    if far:
        start = problem.admissible(np.random.default_rng(1).normal(size=len(start)) * 3.0)
    states = steps_of(LBFGS(), problem, start=start, tol=1e-6)
    expected, parameters = reference(problem, X, y, weight, 1e-6, start)
    assert_same_steps(states, expected, rtol=1e-4)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-7, atol=1e-10)
    assert states[-1].n_passes == len(expected)


@pytest.mark.parametrize("factor", [1.0, 6.0])
@pytest.mark.parametrize("kind", ["two classes", "targets"])
def test_a_hessian_is_the_metric_and_is_formed_again_after_poor_steps(kind, factor):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight)
    start = np.random.default_rng(1).normal(size=problem.packing.size)
    hessian = factor * dense_derivatives(problem, X, y, start, weight)[2]
    mean = np.average(X, axis=0, weights=weight)
    unit = np.sqrt(variances(y, weight).sum()) if problem.loss.quadratic else 1.0
    state = LBFGSState(
        start,
        known=Known(weight.sum(), unit, np.zeros(4)),
        columns=Columns(mean, variances(X, weight)),
        factor=Factor.of(hessian, Centring(problem.packing, mean)),
    )
    states = steps_of(LBFGS(), problem, start=state, tol=1e-6)
    expected, parameters = reference(problem, X, y, weight, 1e-6, start, hessian)
    assert_same_steps(states, expected, rtol=1e-4)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-7, atol=1e-10)
    assert states[-1].n_passes == len(expected)
