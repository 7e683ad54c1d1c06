"""The certificate of a point of least squares with an l1 norm, from the residuals of all rows.

A pass forms the residuals in float64. They and their products with the columns give the duality gap
on the data, which bounds how far the objective is above its minimum, and the exact gradient. Let g
be the part of the gradient that the norm does not balance. In the metric of the Hessian H of the
squared loss, the distance to the minimiser is at most ``sqrt(g H^-1 g)``.

Let r be the centred residuals, b the strength of l1, and c that of ``||w||^2 / 2`` beside the mean
loss. The gap is that of the Lasso on the data extended by ``sqrt(c) I`` (Fercoq, Gramfort and
Salmon 2015, arXiv 1505.03410): the dual point is r, scaled down until ``|X.T r - c w| <= b``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.residuals import CentredModel, ResidualKernel, ResidualSums
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.quadratic_model import Model
from dlbd_estimators.solvers.solver import PassGenerator


class Certificate(NamedTuple):
    """The certificate that the residuals of all rows give for some coefficients.

    Attributes
    ----------
    value : float
        The objective, summed over the outputs.
    gaps : ndarray of shape (n_outputs,)
        Duality gap of each output, a bound on how far its objective is above the minimum.
    descent : ndarray of shape (n_outputs, n_features)
        Negative gradient of the objective without the l1 norm, minimised over the intercepts.
    intercept : ndarray of shape (n_outputs,)
        The best intercepts for these coefficients; all values above are for these intercepts.
    """

    value: float
    gaps: FloatArray
    descent: FloatArray
    intercept: FloatArray


def certify(
    problem: Problem,
    coef: FloatArray,
    intercept: FloatArray,
    centre: FloatArray,
    model: Model | None,
) -> PassGenerator[Certificate]:
    """Request a pass for the residuals, and return the certificate of a point.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    coef, intercept : ndarray of shape (n_outputs, n_features), (n_outputs,)
        The point.
    centre : ndarray of shape (n_features,)
        Mean of the columns, less the objective's centre.
    model : Model or None
        The quadratic model; only a problem without l1 needs it.
    """
    sums: ResidualSums = yield from problem.ask(
        ResidualKernel(),
        CentredModel(coef, problem.centre + centre, intercept + coef @ centre),
        "certificate-pass-{}",
    )
    fitted = problem.packing.fit_intercept
    mean_residual = sums.total / sums.weight if fitted else np.zeros(len(coef))
    squares = sums.squares / sums.weight - mean_residual**2
    l2 = l2_strength(problem)
    # No correction by the mean residual: the centre is the mean of the columns, up to rounding.
    descent = sums.products / sums.weight - l2 * coef
    gaps = duality_gaps(problem, model, squares, descent, coef)
    value = 0.5 * float(squares.sum() + l2 * np.sum(coef * coef))
    value += l1_strength(problem) * float(np.abs(coef).sum())
    return Certificate(value, gaps, descent, intercept + mean_residual)


def error_of_descent(
    problem: Problem, moments: Moments, model: Model, descent: FloatArray, point: FloatArray
) -> float:
    """Return a bound on the largest error of a coefficient of a point.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    moments : Moments
        Provide the columns' variances.
    model : Model
        The quadratic model.
    descent : ndarray of shape (n_outputs, n_features)
        See :class:`Certificate`.
    point : ndarray of shape (n_parameters,)
        The parameters, in the packed order.
    """
    coef, _ = problem.packing.unpack(point)
    unbalanced = _unbalanced(problem, descent, coef)
    decrement = np.hypot.reduce(
        [model.distance(*rows) for rows in zip(unbalanced, coef, strict=True)]
    )
    inverse = np.array([model.inverse_diagonal(row) for row in coef])
    per_decrement = error_of_decrement(
        problem,
        point,
        np.diag(moments.products)[: problem.packing.n_features] / moments.weight,
        problem.packing.pack(inverse, np.zeros(len(coef))),
    )
    return float(decrement) / problem.unit * per_decrement


def _unbalanced(problem: Problem, descent: FloatArray, coef: FloatArray) -> FloatArray:
    """Return the part of a negative gradient that neither the norm nor a bound balances."""
    l1 = l1_strength(problem)
    size = descent if is_positive(problem) else np.abs(descent)
    zero = np.sign(descent) * np.maximum(size - l1, 0.0)
    return np.asarray(np.where(coef != 0, descent - l1 * np.sign(coef), zero))


def duality_gaps(
    problem: Problem,
    model: Model | None,
    squares: FloatArray,
    descent: FloatArray,
    coef: FloatArray,
) -> FloatArray:
    """Return a bound on how far the objective of each output is above its minimum."""
    l1, l2, positive = l1_strength(problem), l2_strength(problem), is_positive(problem)
    if l1 == 0.0:
        assert model is not None
        # No norm bounds the dual point. Instead of a duality gap, take the decrease to the minimum
        # of the quadratic, without the directions that a bound blocks.
        free_descent = np.where((coef > 0) | (descent > 0), descent, 0.0) if positive else descent
        return np.asarray(0.5 * np.sum((free_descent @ model.inverse.T) ** 2, axis=1))
    largest = (descent if positive else np.abs(descent)).max(axis=1, initial=0.0)
    shrink = np.minimum(1.0, l1 / np.maximum(largest, np.finfo(float).tiny))
    norms = np.sum(coef * coef, axis=1)
    # r.y of the centred, extended data is r.r + w.(X.T r), and X.T r is descent + c w.
    extended = squares + l2 * norms
    products = extended + np.sum(coef * descent, axis=1)
    gaps = 0.5 * extended * (1.0 + shrink**2) - shrink * products
    return np.asarray(np.maximum(gaps + l1 * np.abs(coef).sum(axis=1), 0.0))


def target_squares(moments: Moments, problem: Problem) -> FloatArray:
    """Return the mean square of each target about its mean: the unit of its duality gap."""
    spread = np.diag(moments.products)[problem.packing.n_features :] / moments.weight
    return np.where(spread > 0, spread, 1.0)


def l1_strength(problem: Problem) -> float:
    """Return the strength of the l1 norm beside the mean of the losses."""
    assert problem.l1 is not None
    assert problem.total_weight is not None
    return problem.l1.strength / (1.0 if problem.l1.of_mean else problem.total_weight)


def l2_strength(problem: Problem) -> float:
    """Return the strength of half the squared norm beside the mean of the losses."""
    assert problem.total_weight is not None
    strength = float(np.ravel(problem.penalty.strength)[0])
    return strength / (1.0 if problem.penalty.of_mean else problem.total_weight)


def is_positive(problem: Problem) -> bool:
    """Return whether all coefficients must be at least 0."""
    return problem.l1 is not None and problem.l1.positive
