"""Coordinates in which the objective is about equally curved in every direction.

A first-order method's number of passes grows with the spread of curvatures, and the units
of the columns alone can make that spread 1e12. Working in standardised coordinates removes
them, while the penalty stays what the user asked for, in the user's units.
"""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.problem import Problem

#: For columns with a larger mean than this, in units of their spread, the spread is used.
_FAR = 1e4


def across(problem: Problem, gradient: FloatArray, columns: Columns) -> float:
    """Return a decrement that columns far from zero hide where there is no intercept.

    They are all nearly the constant column, and so nearly one another: a gradient that is large in
    units of their spread is small in units of the columns themselves. Only directions that leave
    the mean prediction as it is are looked at, with the curvature that the spread gives them. Zero
    where no column is far from zero, or an intercept takes the means.
    """
    packing = problem.packing
    spread, mean = columns.variance, columns.mean
    if packing.fit_intercept or not np.any(np.abs(mean) > _FAR * np.sqrt(spread)):
        return 0.0
    total = (1.0 if problem.penalty.of_mean else problem.total_weight) or 1.0
    penalty = problem.penalty.diagonal(packing).reshape(packing.shape) / total
    curvature = problem.loss.curvature_bound * spread + penalty
    rows = gradient.reshape(packing.shape)
    kept = spread > 0
    rows, mean, curvature = rows[:, kept], mean[kept], curvature[:, kept]
    along = np.sum(rows * mean / curvature, axis=1) / np.sum(mean**2 / curvature, axis=1)
    rows = rows - along[:, None] * mean
    return float(np.sqrt(np.sum(rows**2 / curvature))) / problem.unit


class Standardised:
    """Linear change of variables ``u_j = scale_j w_j``, ``u_b = b + mean . w``.

    ``scale_j^2`` bounds the curvature of F along ``w_j``: the loss's bound times the
    column's variance (its second moment without an intercept) plus the penalty.

    Parameters
    ----------
    problem : Problem
        Gives loss, penalty, packing and the sum of weights.
    columns : Columns
        Means and variances.
    """

    def __init__(self, problem: Problem, columns: Columns) -> None:
        packing = problem.packing
        total = problem.total_weight or 1.0
        bound = problem.loss.curvature_bound
        self._centring = Centring(packing, columns.mean)
        second = columns.variance
        if not packing.fit_intercept:
            second = second + columns.mean**2
        penalty = problem.penalty.diagonal(packing).reshape(packing.shape) / total
        curvature = np.full(packing.shape, bound)
        curvature[:, : packing.n_features] = bound * second + penalty[:, : packing.n_features]
        curvature[~(curvature > 0)] = 1.0
        self._scale = np.sqrt(curvature).ravel()

    def parameters(self, u: FloatArray) -> FloatArray:
        """Return the user's parameters at ``u``."""
        return self._centring.parameters(u / self._scale)

    def coordinates(self, parameters: FloatArray) -> FloatArray:
        """Return the coordinates of the user's ``parameters``."""
        return np.asarray(self._centring.centred(parameters) * self._scale)

    def gradient(self, gradient: FloatArray) -> FloatArray:
        """Return the gradient in ``u``, from that in the user's parameters."""
        return np.asarray(self._centring.gradient(gradient) / self._scale)

    def inverse_diagonal(self) -> FloatArray:
        """Return the diagonal of the metric's inverse, for centred features."""
        return np.asarray(1.0 / self._scale**2)

    def solve(self, gradient: FloatArray) -> FloatArray:
        """Return the steepest-descent direction of this metric, in user's parameters."""
        return self.parameters(self.gradient(gradient))
