"""How far a step moves what steers a loss's curvature: a bound, and what a pass measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.smooth.separation import NO_LONG_STEPS, diagnose_step
from tests.solvers.dense import answer, problem_of


@dataclass(frozen=True)
class Steeper(HalfBinomialLoss):
    """Says that its curvature changes as fast as that of predictions twice as large."""

    def curvature_directions(self, steps):
        return 2.0 * steps


@pytest.mark.parametrize(("loss", "factor"), [(HalfBinomialLoss(), 1.0), (Steeper(), 2.0)])
def test_the_measured_change_is_that_of_the_directions_that_the_loss_names(loss, factor, rng):
    X = rng.normal(size=(50, 3))
    problem = problem_of(X, np.arange(50.0) % 2, loss)
    step = np.array([1.0, -2.0, 0.5, 3.0])
    columns = Columns(X.mean(axis=0), X.var(axis=0))

    def measure(asked):
        with ThreadExecutor(1) as executor:
            return executor.map_reduce(
                asked.kernel, asked.parameters, problem.blocks, name=asked.name
            ).partial

    # Nothing is left to gain, and the bound is long: the change is measured.
    found = answer(diagnose_step(problem, step, columns, 50.0, 0.0, "test", NO_LONG_STEPS), measure)
    assert found.change == pytest.approx(factor * np.abs(X @ step[:3] + step[3]).max())
