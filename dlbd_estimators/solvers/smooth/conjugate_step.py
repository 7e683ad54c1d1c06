"""A step along the gradient, with the momentum that two gradients show to be the best.

The last step led from ``c`` to ``b``. With ``s = b - c`` and the change ``y = g(b) - g(c)`` of the
gradient, which is ``H s`` for a quadratic function:

* ``t = -g(c).s / y.s`` is the best length of the last step. The next one begins at the point
  ``c + t s``. The gradient there is ``g(c) + t y``, so that no pass is needed to find it;
* ``beta = z.y / y.s``, with ``z = M^-1 (g(c) + t y)`` in the metric M, makes the next step
  ``a (beta s - z)`` conjugate to the last one. Its length a is the length of the last step
  times t, within a limit.

On a quadratic function, this is the method of conjugate gradients, whatever the lengths a are
(Hestenes and Stiefel 1952). On others, a beta below zero is replaced by zero, which leaves out the
momentum (Gilbert and Nocedal 1992).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray

#: If the cosine of a step and of the change of the gradient is smaller, it is rounding error.
_NO_CURVATURE = 1e-14


class Metric(Protocol):
    """An approximation of the Hessian that is easy to solve with."""

    def solve(self, gradient: FloatArray, /) -> FloatArray:
        """Return the product of its inverse and a gradient."""

    def square_norm(self, step: FloatArray, /) -> float:
        """Return the squared length of a step."""


class ConjugateStep(NamedTuple):
    """A step, and what the last step has shown.

    Attributes
    ----------
    origin, gradient : ndarray of shape (n_parameters,)
        The point where the step begins, and the gradient there.
    step : ndarray of shape (n_parameters,)
        The step.
    length : float
        The length of the step, as a multiple of the step in the metric.
    curvature : float or None
        The curvature along the last step, relative to that of the metric; None if there is none.
    """

    origin: FloatArray
    gradient: FloatArray
    step: FloatArray
    length: float
    curvature: float | None


def conjugate_step(
    point: FloatArray,
    gradient: FloatArray,
    begun: tuple[FloatArray, FloatArray] | None,
    metric: Metric,
    *,
    length: float,
    growth: float,
    trusted: float,
) -> ConjugateStep:
    """Return the next step, from the gradients at the beginning and at the end of the last one.

    Parameters
    ----------
    point, gradient : ndarray of shape (n_parameters,)
        The end of the last step, and the gradient there.
    begun : tuple of two ndarrays of shape (n_parameters,), or None
        The beginning of the last step, and the gradient there; None before the first step.
    metric : Metric
        The metric of the step.
    length : float
        The length of the last step.
    growth : float
        The largest ratio of the length of the next step to that of the last one.
    trusted : float
        The last step is extended by more than this ratio only within the distance ``trusted`` in
        the norm of H. There, curvature changes little.
    """
    momentum, curvature = np.zeros_like(point), None
    if begun is not None:
        origin, first = begun
        last, change = point - origin, gradient - first
        bend = float(last @ change)
        if bend > _NO_CURVATURE * float(np.linalg.norm(last) * np.linalg.norm(change)):
            best = -float(last @ first) / bend
            best = min(best, max(growth, trusted / float(np.sqrt(bend))))
            point, gradient = origin + best * last, first + best * change
            length *= min(best, growth)
            curvature = bend / metric.square_norm(last)
            momentum = max(float(metric.solve(gradient) @ change) / bend, 0.0) * last
    step = length * (momentum - metric.solve(gradient))
    return ConjugateStep(point, gradient, step, length, curvature)
