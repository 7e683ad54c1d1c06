"""When a trial step is accepted, halved or given up, by formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    halved,
    rounding,
    satisfies_armijo,
)
from dlbd_estimators.solvers.status import Status
from tests.solvers.steps import problem_for, small

EPSILON = np.finfo(float).eps


def trial(kind="two classes", **more):
    """Return a problem, and a state whose full step leads from the base to the parameters."""
    problem = problem_for(kind, *small(kind))
    rng = np.random.default_rng(2)
    base, step = rng.normal(size=(2, problem.packing.size))
    state = TrialState(base + 0.5 * step, base=base, base_value=3.0, slope=8.0, tried_step=0.5)
    return problem, replace(state, **more)


@pytest.mark.parametrize("kind", ["two classes", "classes"])
@pytest.mark.parametrize("first", [False, True])
def test_rounding_grows_with_the_largest_prediction_that_may_cancel(kind, first):
    columns = Columns(np.array([1e6, 0.0, -2e3, 1.0]), np.array([1.0, 4.0, 1e6, 0.0]))
    problem, state = trial(kind, columns=columns)
    if first:  # before a point is accepted, its own coefficients count
        state = replace(state, base=None)
    point = state.parameters if first else state.base
    coef = np.abs(point.reshape(problem.packing.shape)[:, :4])
    size = np.max(coef @ np.sqrt(columns.variance + columns.mean**2))
    assert rounding(problem, state, 0.5, -3.0) == pytest.approx(EPSILON * (16 * 3.0 + size))
    assert rounding(problem, state, 0.5) == pytest.approx(EPSILON * (16 * 1.0 + size))
    unknown = replace(state, columns=None)
    assert rounding(problem, unknown, 2.0) == pytest.approx(EPSILON * 16 * 2.0)


def test_a_value_has_to_fall_by_a_share_of_the_slope():
    problem, state = trial()
    limit = 3.0 - 1e-4 * 0.5 * 8.0
    assert satisfies_armijo(problem, state, limit)
    assert not satisfies_armijo(problem, state, limit + 1e-12)
    assert satisfies_armijo(problem, replace(state, base=None), np.inf)


@pytest.mark.parametrize(("share", "ends"), [(1.0, False), (2.0**-39, False), (2.0**-40, True)])
def test_a_step_is_halved_forty_times_at_most(share, ends):
    _, state = trial(tried_step=share)
    found = halved(state, 7.0)
    assert found.shortened
    assert found.error == np.inf
    if ends:
        np.testing.assert_array_equal(found.parameters, state.base)
        assert (found.value, found.status) == (state.base_value, Status.STALLED)
        return
    middle = (state.parameters + state.base) / 2
    np.testing.assert_allclose(found.parameters, middle, rtol=1e-14)
    assert (found.value, found.step, found.tried_step) == (7.0, share / 2, share / 2)
    assert found.status is None
