"""The loss of several classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.loss import Loss, Pointwise

#: From here on pairs of classes are not looked at one by one.
_MANY_CLASSES = 64


@dataclass(frozen=True)
class HalfMultinomialLoss(Loss):
    """Softmax cross-entropy of K classes, with one raw prediction a class.

    Adding a constant to all raw predictions of a row changes nothing: the
    Hessian is singular along it, and the solvers fix that gauge.
    """

    coupled = True
    curvature_bound = 0.5
    name = "multinomial"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        rows = np.arange(len(raw))
        label = y.astype(np.intp)
        probability = raw - raw.max(axis=1, keepdims=True)
        own = probability[rows, label]
        np.exp(probability, out=probability)
        total = probability.sum(axis=1)
        losses = np.log(total) - own
        value = float(losses.sum() if weight is None else losses @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        probability /= total[:, None]
        curvature = None
        if order >= Order.HESSIAN:
            # The last column carries the weights to `curvature_between`.
            ones = np.ones(len(raw)) if weight is None else weight
            curvature = np.empty((len(raw), raw.shape[1] + 1))
            curvature[:, :-1], curvature[:, -1] = probability, ones
        gradient = probability
        gradient[rows, label] -= 1.0
        if weight is not None:
            gradient *= weight[:, None]
        return Pointwise(value, gradient, curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        weighted = curvature[:, k] * curvature[:, -1]
        return weighted * ((1.0 if k == j else 0.0) - curvature[:, j])

    def curvature_of_each(self, curvature: FloatArray, n_outputs: int) -> FloatArray:
        probability = curvature[:, :n_outputs]
        each = 1.0 - probability
        each *= probability
        each *= curvature[:, -1:]
        return each

    def curvature_along(self, curvature: FloatArray, change: FloatArray) -> FloatArray:
        probability = curvature[:, :-1]
        change -= np.einsum("ik,ik->i", probability, change)[:, None]
        change *= probability
        change *= curvature[:, -1:]
        return change

    def value_at_zero(self, n_outputs: int) -> float | None:
        return float(np.log(n_outputs))

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        rows = np.arange(len(raw))
        label = y.astype(np.intp)
        others = raw.copy()
        others[rows, label] = -np.inf
        return int(np.count_nonzero(raw[rows, label] <= others.max(axis=1)))

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        # E[(u-Eu)^2 (v-Ev)] <= (max v - min v) Var(u): differences of two classes.
        if len(steps) > _MANY_CLASSES:  # their pairs are more than fit; no two differ by more
            return np.asarray(2.0 * (steps - steps.mean(axis=0)))
        upper, lower = np.triu_indices(len(steps), 1)
        return steps[upper] - steps[lower]
