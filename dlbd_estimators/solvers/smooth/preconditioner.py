"""Coordinates in which the objective has about the same curvature in every direction.

A first-order method's number of passes grows with the condition number of the Hessian, and the
units of the columns alone can make it 1e12. Standardised coordinates remove the effect of the
units, while the penalty stays what the user asked for, in the user's units.
"""

from __future__ import annotations

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.problem import Problem

#: A column is far from zero if its mean is larger than this many standard deviations.
_FAR = 1e4


def hidden_decrement(problem: Problem, gradient: FloatArray, columns: Columns) -> float:
    """Return the decrement that columns far from zero hide in a model without an intercept.

    Such columns are all nearly constant, and so nearly collinear. A gradient that is large relative
    to their standard deviations is then small relative to the columns themselves. Only directions
    that do not change the mean prediction are considered, with the curvature that the variances
    give. The result is zero if no column is far from zero, or if there is an intercept.
    """
    packing = problem.packing
    variance, mean = columns.variance, columns.mean
    if packing.fit_intercept or not np.any(np.abs(mean) > _FAR * np.sqrt(variance)):
        return 0.0
    total = (1.0 if problem.penalty.of_mean else problem.total_weight) or 1.0
    penalty = problem.penalty.diagonal(packing).reshape(packing.shape) / total
    curvature = problem.loss.curvature_bound * variance + penalty
    rows = gradient.reshape(packing.shape)
    kept = variance > 0
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
        Provides the loss, the penalty, the order of the parameters and the sum of weights.
    columns : Columns
        Means and variances of the features.
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
        """Return the gradient with respect to ``u``, from the one for the user's parameters."""
        return np.asarray(self._centring.gradient(gradient) / self._scale)

    def inverse_diagonal(self) -> FloatArray:
        """Return the diagonal of the metric's inverse, for centred features."""
        return np.asarray(1.0 / self._scale**2)

    def square_norm(self, step: FloatArray) -> float:
        """Return the squared length of a step in this metric, for the user's parameters."""
        return float(np.sum(self.coordinates(step) ** 2))

    def solve(self, gradient: FloatArray) -> FloatArray:
        """Return the steepest-descent direction in this metric, for the user's parameters."""
        return self.parameters(self.gradient(gradient))
