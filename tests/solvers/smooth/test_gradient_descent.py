"""Every step of gradient descent in a metric, against its formulas on whole arrays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.smooth import gradient_descent
from dlbd_estimators.solvers.smooth.descent_state import DescentState
from dlbd_estimators.solvers.smooth.gradient_descent import GradientDescent
from tests.solvers.dense import dense_decrement, dense_derivatives, run
from tests.solvers.smooth.test_important_rows import in_blocks, rows_of
from tests.solvers.smooth.test_lbfgs import standardised
from tests.solvers.steps import (
    assert_same_steps,
    largest_change,
    problem_for,
    regular,
    relative_error,
    small,
    steps_of,
    variances,
    without_shift,
)
from tests.solvers.test_endings import quasi_separable


def reference(problem, X, y, weight, start, tol, metrics):
    """Conjugate gradients with trial steps; ``metrics[k]`` is the Hessian to use from pass k on."""
    inverse, exact = standardised(problem, X, weight), False
    w, a, rate, last = start, 1.0, 1.0, np.inf
    base, begun, slope = None, None, 0.0
    curvatures, steps = [], []
    unit = np.sqrt(variances(y, weight).sum()) if problem.loss.quadratic else 1.0
    while len(steps) < 200:
        value, gradient, _ = dense_derivatives(problem, X, y, w, weight)
        norm = np.abs(gradient).max()
        risen = base is not None and value > base[1] - 1e-4 * slope + 1e-14
        if risen and not problem.loss.quadratic:
            moved = w - base[0]
            best = -base[2] @ moved / (moved @ (gradient - base[2]))
            a *= np.clip(best, 0.1, 0.5)
            descent = without_shift(problem, inverse @ base[2])
            slope, begun, w = a * base[2] @ descent, (base[0], base[2]), base[0] - a * descent
            steps.append({"value": value, "error": np.inf, "step": a, "gradient_norm": norm})
            continue
        if len(steps) in metrics:
            a = a if exact else 1.0
            inverse, exact, curvatures = np.linalg.inv(metrics[len(steps)]), True, []
        base = w, value, gradient
        c, g, momentum, new_rate = w, gradient, 0.0, 1.0
        if begun is not None:
            s, change = w - begun[0], gradient - begun[1]
            new_rate = np.sqrt(gradient @ inverse @ gradient) / last
        if begun is not None and change @ s > 0:  # the gradient at the beginning is extrapolated
            t = -begun[1] @ s / (change @ s)
            if not problem.loss.quadratic:
                t = min(t, max(4.0, 0.5 / np.sqrt(change @ s)))
            c, g = begun[0] + t * s, begun[1] + t * change
            a *= min(t, 4.0)
            momentum = max(change @ inverse @ g / (change @ s), 0.0) * s
            curvatures = [*curvatures, change @ s / (s @ np.linalg.pinv(inverse) @ s)][-20:]
        step = a * without_shift(problem, momentum - inverse @ g)
        slope, least = -g @ step, min(curvatures, default=1.0)
        last = np.sqrt(g @ inverse @ g)
        error = np.inf
        if exact:
            left = last * min(1.0, 4 * max(rate, new_rate))
            diagonal = np.diag(inverse) / least
            error = left * relative_error(problem, c + step, X, weight, diagonal, unit)
        elif curvatures:
            diagonal = np.diag(inverse) * 1e6 / least
            left = np.sqrt(gradient @ inverse @ gradient)
            error = left * relative_error(problem, w, X, weight, diagonal, unit)
        rate, begun, w = new_rate, (c, g), c + step
        steps.append({"value": value, "error": error, "step": a, "gradient_norm": norm})
        if error <= tol:
            return steps, w
    raise AssertionError("the reference does not converge")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_without_a_sample_is_that_of_the_formulas(kind, fit_intercept, far):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight, fit_intercept=fit_intercept)
    start = np.zeros(problem.packing.size)
    if far:  # the curvature there is so small that the first steps are too long
        start = problem.admissible(np.random.default_rng(1).normal(size=len(start)) * 3.0)
    states = steps_of(GradientDescent(), problem, start=start, tol=1e-4)
    expected, parameters = reference(problem, X, y, weight, start, 1e-4, {})
    assert len(states) == len(expected)
    # The last step of conjugate gradients on a quadratic function is only rounding error.
    assert_same_steps(states[:-1], expected[:-1], rtol=1e-4)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-7, atol=1e-10)
    assert states[-1].error <= 1e-4
    assert states[-1].n_passes == len(expected)
    assert all(state.slope > 0.0 for state in states[:-1])
    best, since_best = np.inf, 0
    for state in states:
        if not state.shortened:
            since_best = 0 if state.decrement < 0.9 * best else since_best + 1
            best = min(best, state.decrement)
        assert (state.best, state.since_best) == (best, since_best)
    if far and not problem.loss.quadratic:
        assert any(state.shortened for state in states)


@pytest.mark.parametrize("factor", [1.0, 0.2, 6.0])
@pytest.mark.parametrize("kind", ["two classes", "targets"])
def test_each_step_in_the_metric_of_a_hessian_is_that_of_the_formulas(kind, factor):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight)
    start = np.random.default_rng(1).normal(size=problem.packing.shape)
    start = (0.3 * start / [1.0, 20.0, 0.1, 3.0, 10.0]).ravel()
    hessian = factor * dense_derivatives(problem, X, y, start, weight)[2]
    mean = np.average(X, axis=0, weights=weight)
    unit = np.sqrt(variances(y, weight).sum()) if problem.loss.quadratic else 1.0
    state = DescentState(
        start,
        known=Known(weight.sum(), unit, np.zeros(4)),
        factor=Factor.of(hessian, Centring(problem.packing, mean)),
    )
    states = steps_of(GradientDescent(), problem, start=state, tol=1e-4)
    expected, parameters = reference(problem, X, y, weight, start, 1e-4, {0: hessian})
    assert len(states) == len(expected)
    # The last step of conjugate gradients on a quadratic function is only rounding error.
    assert_same_steps(states[:-1], expected[:-1], rtol=1e-4)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-7, atol=1e-10)
    assert states[-1].error <= 1e-4
    assert states[-1].n_passes == len(expected)


def hessian_of_kept(problem, rows, point, total):
    """The Hessian that kept rows estimate, by the dense formulas."""
    weight, X = rows.weight / rows.probability, rows.X.astype(float)
    _, _, hessian = dense_derivatives(problem, X, rows.y, point, weight)
    return regular(problem, hessian * weight.sum() / total)


@pytest.mark.parametrize(("kind", "n_classes"), [("heavy", 2), ("weighted", 2), ("plain", 3)])
def test_rows_of_the_first_pass_are_the_metric(kind, n_classes):
    X, y, weight = rows_of(np.random.default_rng(3), kind, n_classes)
    weight = np.ones(len(X)) if weight is None else weight
    problem = in_blocks(X, y, weight, n_classes, strength=2.0)
    states = []
    run(GradientDescent(), problem, tol=1e-7, save=lambda state, *_: states.append(state))
    begun, states = states[0], states[1:]
    points = [begun, *states[:-1]]
    assert begun.rule is not None
    assert begun.from_sample
    # Before the first step and after poor steps.
    renewed = [k for k, state in enumerate(points) if state.rate > 0.25]
    metrics = {
        k: hessian_of_kept(problem, states[0].kept, points[k].parameters, weight.sum())
        for k in renewed
    }
    assert renewed[:2] == [0, 1]
    expected, parameters = reference(problem, X, y, weight, begun.parameters, 1e-7, metrics)
    assert_same_steps(states, expected, rtol=1e-3)
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-4, atol=1e-9)
    assert dense_decrement(problem, X, y, states[-1].parameters, weight) <= 1e-7
    assert all(state.rule is None for state in states)


def test_the_step_by_which_an_unbounded_descent_is_recognised(monkeypatch):
    """It leads from the evaluated point, and is as long as the smallest curvature allows."""
    seen = []
    original = gradient_descent.diagnose_step

    def recorded(problem, step, *rest):
        seen.append(step)
        return (yield from original(problem, step, *rest))

    monkeypatch.setattr(gradient_descent, "diagnose_step", recorded)
    X, y, weight = small("two classes")
    problem = problem_for("two classes", X, y, weight, strength=0.0)
    states = steps_of(GradientDescent(), problem, start=np.zeros(5), tol=1e-4, max_iter=30)
    moved = [state for state in states if not state.shortened]
    points = [np.zeros(5), *(state.parameters for state in states)]
    tried = [points[k] for k, state in enumerate(states) if not state.shortened]
    assert len(seen) == len(moved) > 3
    assert min(moved[-1].curvatures) < 0.5
    for step, state, point in zip(seen, moved, tried, strict=True):
        least = min(state.curvatures, default=1.0)
        wanted = state.origin - point + (state.parameters - state.origin) / least
        np.testing.assert_allclose(step, wanted, rtol=1e-9, atol=1e-9)


def test_steps_towards_a_separation_of_rows_are_limited():
    """A longer step would lead to a point without curvature, which looks like a minimum."""
    X, y = quasi_separable(np.random.default_rng(0), 600, 2, 0.01)
    weight = np.ones(len(X))
    problem = problem_for(
        "two classes", X, y.astype(float), weight, strength=0.0, fit_intercept=False
    )
    states = steps_of(GradientDescent(), problem, start=np.zeros(2), tol=1e-4, max_iter=20)
    assert not states[-1].error <= 1e-4
    changes, ratios = [], []
    for before, state in pairwise(states):
        if state.shortened:
            continue
        changes.append(largest_change(problem, state.parameters - state.origin, X, weight))
        last = before.parameters - before.origin
        ratios.append((state.origin - before.origin) @ last / (last @ last))
    assert max(changes) == pytest.approx(4.0)
    assert 3.9 < max(ratios) <= 4.0 * (1 + 1e-9)


@pytest.mark.parametrize("sampled", [True, False])
def test_without_a_penalty_some_steps_in_a_row_have_to_be_short(sampled):
    X, y, _ = rows_of(np.random.default_rng(3), "plain", n=6400 if sampled else 600)
    weight = np.ones(len(X))
    if sampled:
        problem = in_blocks(X, y, weight, strength=0.0)
    else:
        problem = problem_for("two classes", X, y, weight, strength=0.0)
    states = steps_of(GradientDescent(), problem, tol=1e-6)
    needed = 4 if sampled else 10
    estimated = [state.n_settled for state in states if np.isfinite(state.error)]
    assert min(estimated) == needed
    assert states[-1].error <= 1e-6
    assert dense_decrement(problem, X, y, states[-1].parameters, weight) <= 1e-6
