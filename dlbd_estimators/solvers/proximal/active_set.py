"""Exact steps on the coefficients that are not zero, after coordinate descent.

Coordinate descent finds quickly which coefficients are zero, and then creeps where columns are
nearly dependent. With the signs known the problem is a linear system. Feature-sign search (Lee,
Battle, Raina and Ng, NeurIPS 2006) solves it, goes to the solution or to the best point on the way
where a sign changes, and takes in the worst zero once the others are settled. Each step
lowers the objective, so it ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray

#: A zero is taken in where it violates its condition by more than this share of l1.
_VIOLATION = 1e-12
#: A unit column depends on the others if only this share of its square is left unexplained.
_SINGULAR = 1e-12


def polish(
    gram: FloatArray,
    linear: FloatArray,
    l1: float,
    start: FloatArray,
    *,
    positive: bool,
    max_steps: int,
) -> FloatArray:
    """Minimise ``w G w / 2 - h w + l1 |w|_1`` from a point near the minimiser.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        G, positive semi-definite.
    linear : ndarray of shape (n,)
        h.
    l1 : float
        Greater than 0.
    start : ndarray of shape (n,)
        Not changed.
    positive : bool
        No coefficient may be negative.
    max_steps : int
        Linear systems to solve, at most.
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
            best = goal if settled else _along(gram, linear, l1, w, active, goal, signs[active])
            moved = np.zeros_like(w)
            moved[active] = best
            if not settled and np.array_equal(moved, w):
                return w
            w = moved
        if settled:
            slopes = linear - gram @ w
            slopes[active] = -np.inf if positive else 0.0
            worst = int(np.argmax(slopes if positive else np.abs(slopes)))
            excess = slopes[worst] if positive else abs(slopes[worst])
            if excess <= l1 * (1.0 + _VIOLATION):
                return w
            entering = worst
    return w


def _along(
    gram: FloatArray,
    linear: FloatArray,
    l1: float,
    w: FloatArray,
    active: NDArray[np.intp],
    goal: FloatArray,
    signs: FloatArray,
) -> FloatArray:
    """Return the best point on the way to ``goal`` at which a coefficient becomes zero.

    Beyond the first of them the objective is no longer the quadratic that was solved, so each is
    tried as it is.
    """
    here = w[active]
    block = gram[np.ix_(active, active)]

    def problem(point: FloatArray) -> float:
        return float(point @ (0.5 * block @ point - linear[active]) + l1 * np.abs(point).sum())

    crossing = (goal * signs <= 0) & (here != 0)
    best, lowest = here, problem(here)
    for index in np.flatnonzero(crossing):
        share = here[index] / (here[index] - goal[index])
        point = here + share * (goal - here)
        # With this one at zero, no coefficient may have passed zero before it, or it is kept there.
        point[point * signs < 0] = 0.0
        point[index] = 0.0
        value = problem(point)
        if value < lowest:
            best, lowest = point, value
    return np.asarray(best)


def _solve(block: FloatArray, right: FloatArray) -> FloatArray:
    """Solve the system; if it is singular, go far along a direction without curvature.

    There the objective falls in a straight line, until a sign changes.
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
