"""Features that enter the working set at each step, and the reports of these steps."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.proximal import working_set
from dlbd_estimators.solvers.proximal.working_set import WorkingSet, WorkingState
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import dense_derivatives
from tests.solvers.steps import problem_for, small, steps_of

P = 12


def wide(kind):
    """Twelve columns, of which about half have coefficients that are not zero."""
    X, y, weight = small(kind, n=90)
    X = np.hstack([X, np.random.default_rng(7).normal(size=(90, P - 4)) + 2.0])
    return (X - [*X[:, :4].mean(axis=0), *np.zeros(P - 4)]) / X.std(axis=0), y, weight


def slopes_at(problem, X, y, weight, parameters):
    """Objective and negative gradient of the coefficients, for the best intercepts near a point."""
    shape = problem.packing.shape
    value, gradient, _ = dense_derivatives(problem, X, y, parameters, weight)
    rows, coef = gradient.reshape(shape), parameters.reshape(shape)[:, :P]
    value += problem.l1.strength / weight.sum() * np.abs(coef).sum()
    mean = np.average(X, axis=0, weights=weight)
    free = rows[:, P:] * mean if problem.packing.fit_intercept else 0.0
    return value, coef, free - rows[:, :P]


def grown(coef, slopes, l1, *, positive):
    """The features in use, and the worst of the others: as many, but two at least in all."""
    used = (coef != 0).any(axis=0)
    size = (slopes if positive else np.abs(slopes)).max(axis=0)
    missed = np.flatnonzero(~used & (size > l1))
    worst = missed[np.argsort(-size[missed])]
    n_used = int(used.sum())
    return np.sort([*np.flatnonzero(used), *worst[: max(2, 2 * n_used) - n_used]])


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
def test_each_set_is_that_of_the_rule(kind, positive, fit_intercept, monkeypatch):
    monkeypatch.setattr(working_set, "_SMALLEST_SET", 2)
    X, y, weight = wide(kind)
    y = y / [1.0, 50.0] if kind == "targets" else y
    strength = (0.2 if kind == "targets" else 0.03) * weight.sum()
    problem = problem_for(
        kind, X, y, weight, strength=1.0, fit_intercept=fit_intercept, l1=L1(strength, positive)
    )
    states = steps_of(WorkingSet(), problem, tol=1e-8)
    l1, before = strength / weight.sum(), np.zeros(problem.packing.size)
    for number, state in enumerate(states, start=1):
        value, coef, slopes = slopes_at(problem, X, y, weight, before)
        assert state.value == pytest.approx(value, rel=1e-7)
        assert state.gradient_norm == pytest.approx(np.abs(slopes).max(), rel=1e-6)
        assert state.step == 1.0
        features = grown(coef, slopes, l1, positive=positive)
        if number == len(states):
            break
        np.testing.assert_array_equal(state.features, features)
        assert state.error == np.inf
        # On the set, the conditions of a minimum hold.
        _, coef, slopes = slopes_at(problem, X, y, weight, state.parameters)
        inside = np.isin(np.arange(P), features)
        assert (coef[:, ~inside] == 0).all()
        left = np.where(coef != 0, slopes - l1 * np.sign(coef), 0.0)
        size = slopes if positive else np.abs(slopes)
        left = np.where(coef == 0, np.maximum(size - l1, 0.0), np.abs(left))
        assert left[:, inside].max() <= 1e-6
        before = state.parameters
    last = states[-1]
    assert len(states) > 2
    assert set(features) <= set(states[-2].features)  # nothing was missed
    np.testing.assert_array_equal(last.parameters, before)
    assert last.error == last.set_error <= 1e-8
    assert last.status is Status.CONVERGED
    if kind == "targets":  # one pass over all features, and two or three on each set
        passes = np.diff([0, *(state.n_passes for state in states)])
        assert set(passes[:-1]) <= {3, 4}
        assert passes[-1] == 1


@pytest.mark.parametrize("positive", [True, False])
def test_a_feature_enters_the_set_if_its_slope_is_above_l1_by_more_than_rounding(positive):
    X, y, weight = wide("two classes")
    problem = problem_for("two classes", X, y, weight, l1=L1(2.0, positive))
    problem = problem.with_known(Known(4.0))
    parameters = np.zeros(P + 1)
    parameters[3] = 1.0
    descent = np.zeros((1, P))
    descent[0, [3, 5, 6, 8]] = 0.5 * np.array([0.9, 1.0 + 5e-9, 1.0 + 2e-8, -1.5])
    features = working_set._grow(problem, WorkingState(parameters), descent)
    assert features.tolist() == ([3, 6] if positive else [3, 6, 8])
