"""Models of several classes: a shift common to all classes changes no prediction."""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing


def free_shift(coef: FloatArray) -> FloatArray:
    """Return the shift of each column that leaves an l1 norm as it is, and is fixed here.

    An even number of outputs has two in the middle; a shift that keeps zero between them costs
    nothing. Taken is what a vanishing L2 penalty would: the mean, or the nearest to it.
    """
    ordered = np.sort(coef, axis=0)
    lower, upper = ordered[(len(coef) - 1) // 2], ordered[len(coef) // 2]
    free = (lower <= 0) & (upper >= 0)
    return np.where(free, np.clip(coef.mean(axis=0), lower, upper), 0.0)


def fix_gauge(hessian: FloatArray, packing: Packing) -> None:
    """Give shifts common to all classes the curvature of the classes' own parameters.

    The loss is constant along them. Where the coefficients sum to zero over the classes,
    as at the solution and everywhere on the way there, the penalty's gradient has no part
    in them either: curvature there changes no step, and the condition becomes that of the
    problem.
    """
    outputs, width = packing.shape
    square = hessian.reshape(outputs, width, outputs, width)
    for column in range(width):
        curvature = np.trace(square[:, column, :, column]) / outputs
        square[:, column, :, column] += (curvature or 1.0) / outputs
