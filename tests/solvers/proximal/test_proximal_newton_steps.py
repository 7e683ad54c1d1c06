"""Every step of the proximal Newton method, against its formulas on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.proximal import proximal_newton
from dlbd_estimators.solvers.proximal.proximal_newton import ProximalNewton
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import dense_derivatives
from tests.solvers.proximal.exact import minimum
from tests.solvers.steps import assert_same_steps, problem_for, relative_error, small, steps_of


def reference(problem, X, y, weight, tol, start):
    """Steps to the minimum of the quadratic and the norm; a step that is too long is halved."""
    shape, n = problem.packing.shape, X.shape[1]
    coefs = np.zeros(shape, dtype=bool)
    coefs[:, :n] = True
    coefs = np.flatnonzero(coefs.ravel())
    free = np.setdiff1d(np.arange(len(start)), coefs)
    l1 = problem.l1.strength / weight.sum()
    w, base, tried, predicted, steps = start, None, 1.0, 0.0, []
    while True:
        value, gradient, hessian = dense_derivatives(problem, X, y, w, weight)
        value += l1 * np.abs(w[coefs]).sum()
        norm = np.abs(gradient).max()
        if base is not None and value > base[1] - 1e-4 * tried * predicted + 1e-14:
            tried /= 2
            w = base[0] + (w - base[0]) / 2
            steps.append({"value": value, "error": np.inf, "step": tried})
            continue
        # The best intercepts for given coefficients, of the quadratic.
        corner = np.linalg.pinv(hessian[np.ix_(free, free)], rcond=1e-12)
        follow = corner @ hessian[np.ix_(free, coefs)]
        gram = hessian[np.ix_(coefs, coefs)] - hessian[np.ix_(coefs, free)] @ follow
        slope = gradient[coefs] - hessian[np.ix_(coefs, free)] @ corner @ gradient[free]
        new = minimum(gram, gram @ w[coefs] - slope, l1, positive=problem.l1.positive)
        step = np.zeros(len(w))
        step[coefs] = new - w[coefs]
        step[free] = -corner @ gradient[free] - follow @ step[coefs]
        predicted = -gradient @ step - l1 * (np.abs(new).sum() - np.abs(w[coefs]).sum())
        rounding = 16 * np.finfo(float).eps * max(1.0, value)
        decrement = np.sqrt(max(predicted, rounding))
        error = 4 * decrement**2 if decrement < 0.1 else decrement
        inverse = np.zeros(len(w))
        inverse[coefs] = np.diag(np.linalg.inv(gram))
        error *= relative_error(problem, w + step, X, weight, inverse)
        steps.append({"value": value, "error": error, "step": tried, "gradient_norm": norm})
        base, tried = (w, value), 1.0
        w = w + step
        if error <= tol or predicted <= rounding:
            return steps, w


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["two classes", "classes"])
@pytest.mark.parametrize(("l2", "positive"), [(1.0, False), (0.1, True)])
@pytest.mark.parametrize("far", [False, True])
def test_each_step_is_that_of_the_formulas(kind, fit_intercept, l2, positive, far, monkeypatch):
    # Exact steps after the descent would hide a wrong descent; here it needs none.
    monkeypatch.delattr(proximal_newton, "polish")
    X, y, weight = small(kind)
    X = X[:, :2] if kind == "classes" else X
    norm = L1(4.0, positive)
    problem = problem_for(kind, X, y, weight, strength=l2, fit_intercept=fit_intercept, l1=norm)
    start = np.zeros(problem.packing.size)
    if far:
        start = np.abs(np.random.default_rng(1).normal(size=len(start)))
    states = steps_of(ProximalNewton(), problem, start=start, tol=1e-9)
    expected, parameters = reference(problem, X, y, weight, 1e-9, start)
    accepted = [step for step in expected if np.isfinite(step["error"])]
    assert_same_steps([s for s in states if np.isfinite(s.error)], accepted, rtol=1e-4)
    assert [s.step for s in states] == [step["step"] for step in expected]
    assert states[-1].n_passes == len(expected)
    assert states[-1].status in (None, Status.CONVERGED)
    if problem.loss.coupled and fit_intercept:  # a shift of all intercepts changes no prediction
        for rows in (states[-1].parameters.reshape(3, -1), parameters.reshape(3, -1)):
            rows[:, -1] -= rows[:, -1].mean()
    np.testing.assert_allclose(states[-1].parameters, parameters, rtol=1e-6, atol=1e-8)
