"""How far a step moves what steers a loss's curvature: a bound, and what a pass measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.smooth.separation import NO_LONG_STEPS, diagnose_step, remainder
from tests.solvers.dense import answer, problem_of


@dataclass(frozen=True)
class Steeper(HalfBinomialLoss):
    """Says that its curvature changes as fast as that of predictions twice as large."""

    def curvature_directions(self, steps):
        return 2.0 * steps


@pytest.mark.parametrize(("loss", "factor"), [(HalfBinomialLoss(), 1.0), (Steeper(), 2.0)])
@pytest.mark.parametrize("length", [1.0, 0.01])
def test_the_measured_change_is_that_of_the_directions_that_the_loss_names(
    loss, factor, length, rng
):
    X = rng.normal(size=(50, 3))
    problem = problem_of(X, np.arange(50.0) % 2, loss)
    step = length * np.array([1.0, -2.0, 0.5, 3.0])
    columns = Columns(X.mean(axis=0), X.var(axis=0))

    def measure(asked):
        with ThreadExecutor(1) as executor:
            return executor.map_reduce(
                asked.kernel, asked.parameters, problem.blocks, name=asked.name
            ).partial

    # Nothing is left to gain, and the bound is long: the change is measured.
    found = answer(diagnose_step(problem, step, columns, 50.0, 0.0, "test", NO_LONG_STEPS), measure)
    assert found.change == pytest.approx(factor * np.abs(X @ step[:3] + step[3]).max())
    assert found.settled is (length < 1.0)
    assert found.long_steps.count == (1 if length == 1.0 else 0)


@pytest.mark.parametrize("change", [1e-12, 1e-6, 0.99e-4, 1.01e-4, 0.1, 3.0, 20.0])
def test_the_share_that_a_step_leaves_is_not_below_the_formula(change):
    """The formula is ``exp(R/2) (exp(R) - 1 - R) / R``, here as a series without cancellation."""
    series = sum(change ** (k - 1) / math.factorial(k) for k in range(2, 90))
    expected = math.exp(change / 2) * series
    found = remainder(change)
    assert found == pytest.approx(expected, rel=1e-4)
    if change < 1e-4:  # the linear bound
        assert expected <= found <= expected * (1 + change / 2)
    assert remainder(20.1) == np.inf
