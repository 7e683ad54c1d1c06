"""Small problems, every step that a solver makes on them, and formulas that references share."""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
from tests.solvers.dense import problem_of, run


def small(kind, *, n=120, seed=3, noise=1.0):
    """Correlated columns in several units, a target, and weights among which there are zeros."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 4)) @ [[1, 0.8, 0, 0], [0, 1, 0.8, 0], [0, 0, 1, 0.8], [0, 0, 0, 1]]
    X = mixed * [1.0, 20.0, 0.1, 3.0] + [0.5, -30.0, 0.0, 9.0]
    scores = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(4, 3))
    weight = rng.integers(0, 3, n).astype(float)
    if kind == "classes":
        return X, (scores + noise * rng.gumbel(size=scores.shape)).argmax(axis=1) * 1.0, weight
    if kind == "targets":
        return X, scores[:, :2] * [1.0, 50.0] + noise * rng.normal(size=(n, 2)), weight
    return X, (scores[:, 0] > noise * rng.logistic(size=n)).astype(float), weight


LOSSES = {
    "two classes": (HalfBinomialLoss(), 1),
    "classes": (HalfMultinomialLoss(), 3),
    "targets": (HalfSquaredError(), 2),
    "target": (HalfSquaredError(), 1),
}


def problem_for(kind, X, y, weight, *, strength=1.0, fit_intercept=True, l1=None):
    loss, n_outputs = LOSSES[kind]
    return problem_of(
        X,
        y,
        loss,
        n_outputs=n_outputs,
        strength=strength,
        fit_intercept=fit_intercept,
        weight=weight,
        l1=l1,
    )


def steps_of(solver, problem, *, start=None, tol=1e-9, max_iter=100):
    """The state after each step, those that only shorten the step before among them."""
    states = []
    run(
        solver,
        problem,
        start=start,
        tol=tol,
        max_iter=max_iter,
        quiet=True,
        save=lambda state, *_: states.append(state),
    )
    return states[1:]  # the first is the state before any step


def variances(X, weight):
    return np.cov(X.T, aweights=weight, bias=True).diagonal()


def relative_error(problem, parameters, X, weight, inverse_diagonal, unit=1.0):
    """The largest error of a coefficient for a decrement of one: |dw_j| <= sqrt((H^-1)_jj).

    It is relative to the largest coefficient: of its own target, or of all classes. A coefficient
    counts as at least a millionth of what a decrement of ``unit`` allows.
    """
    shape, n = problem.packing.shape, problem.packing.n_features
    spread = np.sqrt(variances(X, weight))
    error = (np.sqrt(inverse_diagonal).reshape(shape)[:, :n] * spread).max(axis=1)
    size = (np.abs(parameters).reshape(shape)[:, :n] * spread).max(axis=1)
    if not problem.loss.quadratic:
        error, size = error.max(), size.max()
    return np.max(error / np.maximum(size, 1e-6 * unit * error))


def regular(problem, hessian):
    """A Hessian with curvature along shifts common to all classes: the mean of the classes' own."""
    outputs, width = problem.packing.shape
    if not problem.loss.coupled:
        return hessian
    means = np.diag(hessian).reshape(outputs, width).mean(axis=0)
    return hessian + np.kron(np.full((outputs, outputs), 1.0 / outputs), np.diag(means))


def without_shift(problem, vector):
    """A step without the shift common to all classes, which changes no prediction."""
    if not problem.loss.coupled:
        return vector
    rows = vector.reshape(problem.packing.shape)
    return (rows - rows.mean(axis=0)).ravel()


def largest_change(problem, step, X, weight):
    """A bound on the change of a prediction: the largest norm of a row times that of the step.

    The norm of a row is ``sqrt(1 + sum_j (x_j - m_j)^2 / v_j)``. For classes, the differences of
    two classes' predictions count.
    """
    if problem.loss.quadratic:
        return 0.0
    n, (outputs, _) = X.shape[1], problem.packing.shape
    mean, variance = np.average(X, axis=0, weights=weight), variances(X, weight)
    radius = np.sqrt(1.0 + ((X - mean) ** 2 / variance).sum(axis=1).max())
    rows = step.reshape(problem.packing.shape)
    if problem.loss.coupled:
        rows = np.array([rows[i] - rows[j] for i in range(outputs) for j in range(i)])
    coef = rows[:, :n]
    at_mean = coef @ mean + (rows[:, n] if problem.packing.fit_intercept else 0.0)
    return radius * np.sqrt((coef**2 @ variance + at_mean**2).max())


def remainder(change):
    """The share of a decrement that a full Newton step leaves (Bach 2010)."""
    if change == 0.0:
        return 0.0
    return np.exp(change / 2) * (np.exp(change) - 1 - change) / change if change <= 20 else np.inf


def assert_same_steps(states, expected, rtol=1e-6):
    """What each state says of its step is what the reference says."""
    assert len(states) == len(expected)
    for name in expected[0]:
        found = [getattr(state, name) for state in states]
        wanted = np.array([step[name] for step in expected])
        rounding = 1e-12 * wanted[np.isfinite(wanted)].max(initial=0.0)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rounding, err_msg=name)
