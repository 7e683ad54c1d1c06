"""Residuals of least squares and their products with the columns, for the duality gap.

With ``r_i = y_i - W (x_i - m) - b``, a block returns ``sum s r^2``, ``sum s r`` and
``sum s r (x - m)^T``, all in float64. The columns are centred first. Otherwise, if the mean is far
larger than the spread, rounding errors would exceed the products, which are nearly zero at a
solution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear_tiles import centred_tile, repeated


class CentredModel(NamedTuple):
    """Coefficients, the centre of the columns, and the prediction at the centre.

    ``coef`` has shape (n_outputs, n_features), ``centre`` (n_features,), ``level`` (n_outputs,).
    """

    coef: FloatArray
    centre: FloatArray
    level: FloatArray


@dataclass
class ResidualSums:
    """Weighted sums over rows.

    Attributes
    ----------
    weight : float
        Sum of the weights.
    squares, total : ndarray of shape (n_outputs,)
        Sums of the squared residuals and of the residuals.
    products : ndarray of shape (n_outputs, n_features)
        Sums of the products of the residuals with the centred columns.
    """

    weight: float
    squares: FloatArray
    total: FloatArray
    products: FloatArray


@dataclass(frozen=True)
class ResidualKernel(Kernel[ResidualSums]):
    """Residuals of one block; parameters are a :class:`CentredModel`."""

    def __call__(self, block: Block, parameters: CentredModel) -> ResidualSums:
        coef, centre, level = parameters
        size = tile_rows(coef.shape[1], products=False)
        wide = scratch("wide", (min(size, block.n_rows), coef.shape[1]))
        sums = ResidualSums(0.0, np.zeros(len(coef)), np.zeros(len(coef)), np.zeros(coef.shape))
        targets = block.targets
        subtracted = repeated(centre)
        for rows in tiles(block.n_rows, size):
            X = centred_tile(block.X[rows], subtracted, wide)
            residual = targets[rows] - _predictions(X, coef) - level
            weighted = residual
            if block.weight is None:
                sums.weight += len(X)
            else:
                weight = block.weight[rows]
                sums.weight += float(weight.sum())
                weighted = residual * weight[:, None]
            sums.squares += np.einsum("ij,ij->j", residual, weighted)
            sums.total += weighted.sum(axis=0)
            if len(coef) == 1:  # faster than a product with a matrix of one row
                sums.products[0] += weighted[:, 0] @ X
            else:
                sums.products += weighted.T @ X
        return sums

    def combine(self, left: ResidualSums, right: ResidualSums) -> ResidualSums:
        left.weight += right.weight
        left.squares += right.squares
        left.total += right.total
        left.products += right.products
        return left

    def is_finite(self, partial: ResidualSums) -> bool:
        return bool(np.isfinite(partial.squares).all() and np.isfinite(partial.products).all())


def _predictions(X: FloatArray, coef: FloatArray) -> FloatArray:
    return (X @ coef[0])[:, None] if len(coef) == 1 else np.asarray(X @ coef.T)
