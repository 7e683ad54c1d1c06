"""Curvature pairs of a quasi-Newton method, and the two-loop recursion that applies them.

A pair is a step and the change of the gradient along it. L-BFGS (Nocedal 1980) keeps the last few
pairs, and never forms the inverse Hessian that they define.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from dlbd_estimators.kernels.arrays import FloatArray

#: Steps, each with the change of the gradient along it; the oldest first.
Pairs: TypeAlias = tuple[tuple[FloatArray, FloatArray], ...]


class Metric(Protocol):
    """The initial inverse Hessian, which the pairs correct."""

    def solve(self, gradient: FloatArray) -> FloatArray:
        """Return the initial inverse Hessian times a gradient."""


def two_loop_recursion(
    gradient: FloatArray, pairs: Pairs, metric: Metric, *, rescale: bool
) -> FloatArray:
    """Return the inverse Hessian that a metric and curvature pairs define, times a gradient.

    Parameters
    ----------
    gradient : ndarray of shape (size,)
        The vector to multiply.
    pairs : tuple of (ndarray, ndarray)
        Curvature pairs; the curvature along each step is positive.
    metric : Metric
        The initial inverse Hessian.
    rescale : bool
        Whether the metric is known only up to a factor, which the last pair determines.
    """
    q = gradient.copy()
    applied = []
    for step, change in reversed(pairs):
        along = float(step @ change)
        alpha = float(step @ q) / along
        q -= alpha * change
        applied.append((alpha, along, step, change))
    r = metric.solve(q)
    if pairs and rescale:
        step, change = pairs[-1]
        r = r * (float(step @ change) / float(change @ metric.solve(change)))
    for alpha, along, step, change in reversed(applied):
        beta = float(change @ r) / along
        r = r + (alpha - beta) * step
    return r
