"""Multinomial models: adding one shift to the parameters of all classes changes no prediction."""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing


def free_shift(coef: FloatArray) -> FloatArray:
    """Return the shift to subtract from each column: it keeps the l1 norm and reduces the l2 norm.

    With an even number of outputs, a column has two middle coefficients. If zero lies between them,
    any shift between them keeps the l1 norm. A vanishing L2 penalty determines which one is taken:
    the mean of the column, or the value between them that is nearest to it. Otherwise it is zero.
    """
    ordered = np.sort(coef, axis=0)
    lower, upper = ordered[(len(coef) - 1) // 2], ordered[len(coef) // 2]
    free = (lower <= 0) & (upper >= 0)
    return np.where(free, np.clip(coef.mean(axis=0), lower, upper), 0.0)


def fix_gauge(hessian: FloatArray, packing: Packing) -> None:
    """Add curvature to a Hessian along shifts common to all classes, so that it is not singular.

    The loss is constant along these shifts. The coefficients sum to zero over the classes at every
    iterate, so that the gradient of the penalty has no component along the shifts either. The added
    curvature therefore changes no step. Its size is the mean curvature of the classes'
    own parameters, so that it does not make the condition number worse.
    """
    outputs, width = packing.shape
    square = hessian.reshape(outputs, width, outputs, width)
    for column in range(width):
        curvature = np.trace(square[:, column, :, column]) / outputs
        square[:, column, :, column] += (curvature or 1.0) / outputs
