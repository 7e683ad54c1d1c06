"""The loss for counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.loss import Loss, Pointwise


@dataclass(frozen=True)
class HalfPoissonDeviance(Loss):
    """Half the Poisson deviance of counts, with the logarithm of the mean as raw prediction."""

    curvature_bound = np.inf
    name = "poisson"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        y = y.reshape(raw.shape)
        mean = np.exp(raw)
        losses = mean - y
        losses -= y * raw
        losses += xlogy(y, y)
        by_row = losses.sum(axis=1)
        value = float(by_row.sum() if weight is None else by_row @ weight)
        if order < Order.GRADIENT:
            return Pointwise(value, None, None)
        gradient = mean - y
        if weight is not None:
            gradient *= weight[:, None]
            mean *= weight[:, None]
        return Pointwise(value, gradient, mean if order >= Order.HESSIAN else None)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature[:, k] if k == j else np.zeros(len(curvature))

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        return len(raw)

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return steps
