"""The loss for two classes, or for several binary labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.loss import Loss, Pointwise


@dataclass(frozen=True)
class HalfBinomialLoss(Loss):
    """Logistic loss, with the log-odds as raw prediction, for two classes.

    For several binary labels it is the sum of their logistic losses.
    """

    curvature_bound = 0.25
    name = "binomial"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        shape = raw.shape
        if shape[1] > 1 and weight is not None:
            weight = np.repeat(weight, shape[1])
        # Each label of a row is a binary problem of its own.
        raw, y = raw.reshape(-1), y.reshape(-1)
        # exp(-|raw|) never overflows, and every quantity below follows from it
        # without cancellation at either end.
        decay = np.exp(-np.abs(raw))
        losses = np.maximum(raw, 0.0)
        losses -= y * raw
        losses += np.log1p(decay)
        value = float(losses.sum() if weight is None else losses @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        complement = 1.0 / (1.0 + decay)
        smaller = decay * complement  # the probability of the less likely class
        gradient = np.where(raw >= 0, complement, smaller)
        gradient -= y
        if weight is not None:
            gradient *= weight
        curvature = None
        if order >= Order.HESSIAN:
            curvature = smaller * complement
            if weight is not None:
                curvature *= weight
            curvature = curvature.reshape(shape)
        return Pointwise(value, gradient.reshape(shape), curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature[:, k] if k == j else np.zeros(len(curvature))

    def curvature_of_each(self, curvature: FloatArray, n_outputs: int) -> FloatArray:
        return curvature

    def value_at_zero(self, n_outputs: int) -> float | None:
        return n_outputs * float(np.log(2.0))

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        margins = (2 * y.reshape(raw.shape) - 1) * raw
        return int(np.count_nonzero(margins.min(axis=1) <= 0))

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return steps
