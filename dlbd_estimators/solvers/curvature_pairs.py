"""What the last steps say of curvature, and the two loops that make a direction of it.

A pair is a move and what the gradient did on its way. L-BFGS (Nocedal 1980) keeps the last few, and
never forms the matrix that they define.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from dlbd_estimators.kernels.arrays import FloatArray

#: Moves, and how the gradient changed by each, the oldest first.
Pairs: TypeAlias = tuple[tuple[FloatArray, FloatArray], ...]


class Metric(Protocol):
    """The inverse Hessian that the pairs correct."""

    def solve(self, gradient: FloatArray) -> FloatArray:
        """Apply it."""


def two_loops(gradient: FloatArray, pairs: Pairs, metric: Metric, *, rescale: bool) -> FloatArray:
    """Apply the inverse Hessian that a metric and the curvature pairs define.

    Parameters
    ----------
    gradient : ndarray of shape (size,)
        What it is applied to.
    pairs : tuple of (ndarray, ndarray)
        The curvature along each move is positive.
    metric : Metric
        Where the pairs begin.
    rescale : bool
        Whether the metric is right up to a factor, which the last pair tells.
    """
    q = gradient.copy()
    applied = []
    for moved, turned in reversed(pairs):
        alpha = float(moved @ q) / float(moved @ turned)
        q -= alpha * turned
        applied.append((alpha, moved, turned))
    r = metric.solve(q)
    if pairs and rescale:
        moved, turned = pairs[-1]
        r = r * (float(moved @ turned) / float(turned @ metric.solve(turned)))
    for alpha, moved, turned in reversed(applied):
        beta = float(turned @ r) / float(moved @ turned)
        r = r + (alpha - beta) * moved
    return r
