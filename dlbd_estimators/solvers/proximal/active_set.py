"""Exact steps on the active set (the coefficients that are not zero), after coordinate descent.

Coordinate descent quickly finds which coefficients are zero, but then converges slowly if columns
are nearly dependent. For known signs, the problem is a linear system. Feature-sign search (Lee,
Battle, Raina and Ng, NeurIPS 2006) solves it, and goes to the solution or to the best point on the
way at which a sign changes. When the active coefficients are optimal, the zero coefficient with the
largest violation becomes active. Each step lowers the objective, so the search ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray

#: Largest number of steps, each of which solves a linear system. A step changes few signs, and
#: systems of hundreds of coefficients take long.
_MOST_STEPS = 500
#: A zero coefficient becomes active if it violates its condition by more than this share of l1.
_VIOLATION = 1e-12
#: A column counts as dependent if the others leave at most this share of its square unexplained.
_SINGULAR = 1e-12


def polish(
    gram: FloatArray,
    linear: FloatArray,
    l1: float,
    start: FloatArray,
    *,
    positive: bool,
    max_steps: int = _MOST_STEPS,
) -> FloatArray:
    """Minimise ``w G w / 2 - h w + l1 |w|_1`` from a point near the minimiser.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        The matrix G, positive semi-definite.
    linear : ndarray of shape (n,)
        The linear term h.
    l1 : float
        Strength of the l1 norm, greater than 0.
    start : ndarray of shape (n,)
        Initial coefficients; they are not changed.
    positive : bool
        Whether all coefficients must be at least 0.
    max_steps : int, default=500
        Largest number of linear systems to solve.
    """
    w = start.copy()
    entering: int | None = None
    for _ in range(max_steps):
        signs = np.sign(w)
        if entering is not None:
            signs[entering] = 1.0 if positive else np.sign((linear - gram @ w)[entering])
            entering = None
        active = np.flatnonzero(signs)
        settled = True
        if len(active):
            goal = _solve(gram[np.ix_(active, active)], linear[active] - l1 * signs[active])
            settled = bool(np.all(goal * signs[active] > 0))
            best = (
                goal
                if settled
                else _best_breakpoint(gram, linear, l1, w, active, goal, signs[active])
            )
            updated = np.zeros_like(w)
            updated[active] = best
            if not settled and np.array_equal(updated, w):
                return w
            w = updated
        if settled:
            slopes = linear - gram @ w
            slopes[active] = -np.inf if positive else 0.0
            worst = int(np.argmax(slopes if positive else np.abs(slopes)))
            excess = slopes[worst] if positive else abs(slopes[worst])
            if excess <= l1 * (1.0 + _VIOLATION):
                return w
            entering = worst
    return w


def _best_breakpoint(
    gram: FloatArray,
    linear: FloatArray,
    l1: float,
    w: FloatArray,
    active: NDArray[np.intp],
    goal: FloatArray,
    signs: FloatArray,
) -> FloatArray:
    """Return the best of the points on the way to ``goal`` at which a coefficient becomes zero.

    Beyond the first of these points, the objective differs from the quadratic that was solved. So
    the objective is computed at each of them.
    """
    current = w[active]
    block = gram[np.ix_(active, active)]

    def problem(point: FloatArray) -> float:
        return float(point @ (0.5 * block @ point - linear[active]) + l1 * np.abs(point).sum())

    crossing = (goal * signs <= 0) & (current != 0)
    best, lowest = current, problem(current)
    for index in np.flatnonzero(crossing):
        share = current[index] / (current[index] - goal[index])
        point = current + share * (goal - current)
        # Coefficients that have crossed zero before this one are set to zero too.
        point[point * signs < 0] = 0.0
        point[index] = 0.0
        value = problem(point)
        if value < lowest:
            best, lowest = point, value
    return np.asarray(best)


def _solve(block: FloatArray, right: FloatArray) -> FloatArray:
    """Return the solution of the system; if it is singular, a point far away.

    Along a direction without curvature the objective falls linearly until a sign changes. The
    caller finds this point on the way to the solution.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diag(block), np.finfo(float).tiny))
    scaled = block * scale * scale[:, None]
    for ridge in (0.0, _SINGULAR):
        try:
            factor = linalg.cholesky(scaled + ridge * np.eye(len(scaled)), check_finite=False)
        except linalg.LinAlgError:
            continue
        if ridge or np.diag(factor).min() ** 2 > _SINGULAR:
            break
    return np.asarray(scale * linalg.cho_solve((factor, False), scale * right, check_finite=False))
