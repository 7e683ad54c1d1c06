"""The loss for several classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.loss import Loss, Pointwise

#: Above this number of classes, pairs of classes are not enumerated.
_MANY_CLASSES = 64


@dataclass(frozen=True)
class HalfMultinomialLoss(Loss):
    """Softmax cross-entropy of K classes, with one raw prediction per class.

    Adding a constant to all raw predictions of a row does not change the loss: the
    Hessian is singular in this direction, and the solvers fix the constant.
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
            # The last column passes the weights to the methods that take `curvature`.
            weights = np.ones(len(raw)) if weight is None else weight
            curvature = np.empty((len(raw), raw.shape[1] + 1), dtype=raw.dtype)
            curvature[:, :-1], curvature[:, -1] = probability, weights
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
        diagonal = 1.0 - probability
        diagonal *= probability
        diagonal *= curvature[:, -1:]
        return diagonal

    def curvature_along(self, curvature: FloatArray, change: FloatArray) -> FloatArray:
        probability = curvature[:, :-1]
        # Relative to the most probable output: the others then show its small curvature p (1 - p),
        # which is lost to rounding in the difference from a mean that this output dominates.
        change -= np.take_along_axis(change, probability.argmax(axis=1)[:, None], axis=1)
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
        # E[(u-Eu)^2 (v-Ev)] <= (max v - min v) Var(u): differences of two classes bound it.
        if len(steps) > _MANY_CLASSES:
            # Too many pairs to store: twice the largest deviation from the mean bounds them all.
            return np.asarray(2.0 * (steps - steps.mean(axis=0)))
        upper, lower = np.triu_indices(len(steps), 1)
        return steps[upper] - steps[lower]
