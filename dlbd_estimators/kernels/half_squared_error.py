"""The loss of least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.loss import Loss, Pointwise


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the squared error, for one or several targets."""

    quadratic = True
    mean_of_outputs = True
    curvature_bound = 1.0
    name = "squared"

    def evaluate(
        self, y: FloatArray, raw: FloatArray, weight: FloatArray | None, order: Order
    ) -> Pointwise:
        residual = raw - y.reshape(raw.shape)
        gradient = residual if weight is None else residual * weight[:, None]
        value = 0.5 * float(np.einsum("ij,ij->", residual, gradient))
        curvature = None
        if order >= Order.HESSIAN:
            curvature = np.ones(len(raw)) if weight is None else weight
        return Pointwise(value, gradient if order >= Order.GRADIENT else None, curvature)

    def curvature_between(self, curvature: FloatArray, k: int, j: int) -> FloatArray:
        return curvature if k == j else np.zeros_like(curvature)

    def n_errors(self, y: FloatArray, raw: FloatArray) -> int:
        return len(raw)

    def curvature_directions(self, steps: FloatArray) -> FloatArray:
        return np.zeros((1, steps.shape[1]))
