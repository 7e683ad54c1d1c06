"""Choose the sample of rows from which a search computes curvature."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.importance import ImportantRows
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.row_sample import (
    DrawnRows,
    SamplingRates,
    curvature_of,
    importance_of,
)
from dlbd_estimators.solvers.path_rows import PathRows
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample

#: Limits on the rows held in this process: their number; rows times parameters, but at least so
#: many rows for each parameter; and their bytes.
_MOST_ROWS, _WORK, _ROWS_PER_PARAMETER, _NBYTES = 30_000, 3_000_000, 20, 2**28
#: Least number of blocks of a first sample.
_FEWEST_BLOCKS = 4
#: Number of random directions by which leverages are estimated.
_DIRECTIONS = 16


def importance_rates(
    problem: Problem, rows: PathRows, middle: FloatArray, scale: FloatArray
) -> SamplingRates:
    """Return the rule for the probabilities of rows to be drawn, by importance for one model.

    Parameters
    ----------
    problem : Problem
        The problem, whose centre and total weight are known.
    rows : PathRows
        A sample of the rows.
    middle : ndarray of shape (size,)
        Parameters of the model, in standard units.
    scale : ndarray of shape (n_features,)
        Standard deviations of the columns.
    """
    packing = problem.packing
    constant = np.column_stack([rows.X, np.ones(len(rows.X))])
    curved = constant * (rows.weight * curvature_of(rows.X, packing, middle))[:, None]
    metric = curved.T @ constant
    metric[np.diag_indices_from(metric)] *= 1.0 + 1e-6
    metric[np.diag_indices_from(metric)] += 1e-12 * np.trace(metric) / len(metric)
    root = linalg.cholesky(metric, lower=True)
    random = np.random.default_rng(problem.seed).normal(size=(len(metric), _DIRECTIONS))
    projection = linalg.solve_triangular(root, random, lower=True, trans="T")
    # A sum over the sample, times this, is about the sum over all rows.
    share = float(problem.total_weight or 1.0) / float(rows.weight.sum())
    size = share * float(rows.weight @ importance_of(rows.X, packing, middle, projection))
    rate = np.full(max(packing.n_outputs, 2), most_rows(packing) / size)
    projection[:-1] /= scale[:, None]
    model = middle / packed_scale(packing, scale)
    return SamplingRates(rate, problem.known.subtracted, model, projection)


def kept_rows(rows: PathRows, scale: FloatArray) -> ImportantRows:
    """Return drawn rows in original units, for the correction of a step of Newton's method.

    Parameters
    ----------
    rows : PathRows
        Rows drawn by importance.
    scale : ndarray of shape (n_features,)
        Standard deviations of the columns.
    """
    X, probability = (rows.X * scale).astype(np.float32), rows.probability
    priority, limit = np.zeros_like(probability), np.ones_like(probability)
    return ImportantRows(X, rows.y, rows.weight * probability, probability, priority, limit)


def most_rows(packing: Packing) -> int:
    """Return the largest number of rows held in this process: fewer if Hessians are expensive."""
    rows = min(_MOST_ROWS, max(_WORK // packing.size, _ROWS_PER_PARAMETER * packing.size))
    return max(1, min(rows, _NBYTES // (8 * packing.shape[1])))


def first_sample(problem: Problem) -> Sample | None:
    """Return the blocks of the first sample, or None if the data are too few to sample."""
    large_enough = [sample for sample in problem.samples if len(sample) >= _FEWEST_BLOCKS]
    return large_enough[0] if large_enough else (problem.samples[-1] if problem.samples else None)


def columns_of(drawn: DrawnRows) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean and variance of the columns of drawn rows."""
    X, weight = np.concatenate(drawn.X).astype(np.float64), np.concatenate(drawn.weight)
    if not weight.sum() > 0:
        weight = np.ones(len(X))
    if not len(X):
        return np.zeros(X.shape[1]), np.zeros(X.shape[1])
    first = X[0].copy()
    X -= first
    weight /= weight.sum()
    mean = weight @ X
    X -= mean
    return first + mean, weight @ (X * X)


def packed_scale(packing: Packing, scale: FloatArray) -> FloatArray:
    """Return the standard deviations in the packed order, with one for intercepts."""
    units = np.ones(packing.shape)
    units[:, : packing.n_features] = scale
    return units.ravel()


def penalties(
    packing: Packing,
    scale: FloatArray,
    Cs: FloatArray,
    totals: FloatArray,
    widths: FloatArray | None = None,
) -> FloatArray:
    """Return diagonals of the penalties' Hessians, of shape (n_splits, n_Cs, size).

    Parameters
    ----------
    packing : Packing
        Order of a model's parameters, which are in standard units.
    scale : ndarray of shape (n_features,)
        Standard deviations of the columns.
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths.
    totals : ndarray of shape (n_splits,)
        Sum of the training weights of each split, because losses are means.
    widths : ndarray of shape (n_splits, n_features), optional
        Each split divides the columns by these before the penalty applies; default is one.
    """
    widths = np.ones((len(totals), packing.n_features)) if widths is None else widths
    square = np.zeros((len(totals), *packing.shape))
    square[:, :, : packing.n_features] = ((widths / scale) ** 2)[:, None]
    square = square.reshape(len(totals), 1, -1)
    return np.asarray(square / Cs[:, None] / totals[:, None, None])


def coefs(packing: Packing, models: FloatArray) -> FloatArray:
    """Return models without their intercepts, whose errors are no larger."""
    if not packing.fit_intercept:
        return models
    rows = models.reshape(*models.shape[:-1], *packing.shape)
    return rows[..., : packing.n_features].reshape(*models.shape[:-1], -1)
