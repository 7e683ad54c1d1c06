"""Every step of private gradient descent, against its formulas on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from dlbd_estimators.kernels.gaussian_noise import gaussian_noise
from dlbd_estimators.solvers.smooth.noisy_gradient import NoisyGradientDescent
from dlbd_estimators.solvers.status import Status
from tests.solvers.steps import problem_for, small, steps_of, without_shift

ROW_BOUND, GRADIENT_BOUND, NOISE, N_SAMPLES, SEED = 1.5, 0.8, 0.3, 130, (7, 1)


def gradient_of(problem, X, y, weight, w):
    """Return the sum of the rows' gradients: rows are shortened first, then their gradients."""
    Z = X
    if problem.packing.fit_intercept:
        Z = np.column_stack([X, np.ones(len(X))])
    Z = Z * np.minimum(1.0, ROW_BOUND / np.linalg.norm(Z, axis=1))[:, None]
    raw = Z @ w.reshape(problem.packing.shape).T
    if problem.loss.coupled:
        error = special.softmax(raw, axis=1) - np.eye(3)[y.astype(int)]
    else:
        error = special.expit(raw) - y[:, None]
    gradients = (weight[:, None] * error)[:, :, None] * Z[:, None, :]
    gradients = gradients.reshape(len(X), -1)
    norms = np.maximum(np.linalg.norm(gradients, axis=1), GRADIENT_BOUND)
    return (gradients * (GRADIENT_BOUND / norms)[:, None]).sum(axis=0)


@pytest.mark.parametrize("n_steps", [1, 4, 7])
@pytest.mark.parametrize("kind", ["two classes", "classes"])
def test_each_step_is_that_of_the_formulas(kind, n_steps):
    X, y, weight = small(kind)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    problem = problem_for(kind, X, y, weight, strength=3.0)
    solver = NoisyGradientDescent(ROW_BOUND, GRADIENT_BOUND, NOISE, N_SAMPLES, n_steps, SEED)
    states = steps_of(solver, problem, tol=0.0)
    penalty = problem.penalty.diagonal(problem.packing)
    curvature = problem.loss.curvature_bound * ROW_BOUND**2 + 3.0 / N_SAMPLES
    before = point = np.zeros(problem.packing.size)
    points = []
    for number, state in enumerate(states):
        ahead = point + 0.9 * (point - before)
        gradient = gradient_of(problem, X, y, weight, ahead) + penalty * ahead
        gradient += gaussian_noise(SEED, number, len(point), NOISE * GRADIENT_BOUND)
        gradient /= N_SAMPLES
        before, point = point, without_shift(problem, ahead - gradient / curvature)
        points.append(point)
        np.testing.assert_allclose(state.point, point, rtol=1e-9, atol=1e-12)
        # Points from the middle on count: of seven the last four, of four the last two.
        counting = points[min(n_steps // 2, number) :]
        np.testing.assert_allclose(state.parameters, np.mean(counting, axis=0), rtol=1e-9)
        assert state.gradient_norm == pytest.approx(np.abs(gradient).max(), rel=1e-9)
        assert state.step == 1.0
        assert (state.status is Status.DONE) == (number + 1 == n_steps)
    assert len(states) == n_steps
    assert states[-1].n_passes == n_steps
