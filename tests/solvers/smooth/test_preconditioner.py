"""The decrement that columns far from zero hide, against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.solvers.evaluation import Columns, Known
from dlbd_estimators.solvers.smooth.preconditioner import hidden_decrement
from tests.solvers.dense import problem_of


def far_columns(loss, n_outputs, *, fit_intercept=False, of_mean=False):
    problem = problem_of(
        np.zeros((3, 4)),
        np.arange(3.0) % 2,
        loss,
        n_outputs=n_outputs,
        strength=0.7,
        fit_intercept=fit_intercept,
    )
    problem = replace(problem, penalty=L2(0.7, of_mean=of_mean), known=Known(50.0, unit=3.0))
    columns = Columns(np.array([2e5, -3.0, 4e4, 1e5]), np.array([4.0, 1.0, 0.25, 0.0]))
    return problem, columns, np.random.default_rng(0).normal(size=problem.packing.size)


@pytest.mark.parametrize("of_mean", [True, False])
@pytest.mark.parametrize(("loss", "outputs"), [(HalfBinomialLoss(), 1), (HalfMultinomialLoss(), 3)])
def test_the_largest_decrease_without_a_change_of_the_mean_prediction(loss, outputs, of_mean):
    problem, columns, gradient = far_columns(loss, outputs, of_mean=of_mean)
    curvature = loss.curvature_bound * columns.variance + 0.7 / (1.0 if of_mean else 50.0)
    varies = columns.variance > 0
    directions = linalg.null_space(columns.mean[varies][None] / np.sqrt(curvature[varies]))
    expected = 0.0
    for row in gradient.reshape(outputs, -1):
        expected += np.sum((directions.T @ (row[varies] / np.sqrt(curvature[varies]))) ** 2)
    found = hidden_decrement(problem, gradient, columns)
    assert found == pytest.approx(np.sqrt(expected) / 3.0, rel=1e-9)


def test_nothing_is_hidden_near_zero_or_behind_an_intercept():
    problem, columns, gradient = far_columns(HalfBinomialLoss(), 1)
    near = Columns(np.array([2e4, -3.0, 4e3, 0.0]), columns.variance)
    assert hidden_decrement(problem, gradient, columns) > 0.0
    assert hidden_decrement(problem, gradient, near) == 0.0
    problem, columns, gradient = far_columns(HalfBinomialLoss(), 1, fit_intercept=True)
    assert hidden_decrement(problem, gradient, columns) == 0.0
