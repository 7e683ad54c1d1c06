"""Leave-one-out errors of ridge regressions: the error on each row of a fit without this row.

Leaving row i out changes its residual ``r_i`` to ``r_i / (1 - s_i h_i)``, where
``h_i = 1/W + z_i (L + alpha)^-1 z_i``, ``s_i`` is the weight of the row and W that of all rows.
``z_i`` are the row's centred coordinates along the eigenvectors of the Gram matrix, and L its
eigenvalues (Allen 1974; Golub, Heath and Wahba 1979). The coordinates are the same for all
strengths of the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear_tiles import centred_tile, repeated


@dataclass(frozen=True)
class RidgePath:
    """Ridge regressions from one Gram matrix, one for each strength of the penalty.

    Attributes
    ----------
    centre : ndarray of shape (n_features,)
        Means of the features; zeros without intercept.
    target_means : ndarray of shape (n_targets,)
        Predictions at the centre.
    vectors : ndarray of shape (n_features, rank)
        Eigenvectors of the Gram matrix.
    shrinkage : ndarray of shape (n_alphas, rank)
        ``1 / (L + alpha)``.
    slopes : ndarray of shape (rank, n_targets)
        Products of targets and features, along the eigenvectors.
    constant : float
        Contribution of the intercept to ``h``: one over the total weight; 0 without intercept.
    """

    centre: FloatArray
    target_means: FloatArray
    vectors: FloatArray
    shrinkage: FloatArray
    slopes: FloatArray
    constant: float


@dataclass
class LeaveOneOutSums:
    """Sums over rows of weighted squared errors and, if requested, the errors of each row.

    Attributes
    ----------
    squared_errors : ndarray of shape (n_alphas, n_targets)
        Weighted sums of squared errors.
    errors : list of ndarray of shape (n_rows, n_alphas, n_targets)
        Target minus prediction; each array holds consecutive rows. Empty if not requested.
    """

    squared_errors: FloatArray
    errors: list[FloatArray]


@dataclass(frozen=True)
class LeaveOneOutKernel(Kernel[LeaveOneOutSums]):
    """Leave-one-out errors on one block; the parameters of the pass are a :class:`RidgePath`.

    Parameters
    ----------
    keep_rows : bool
        Whether to return the errors of each row too, which is meant for data in memory.
    """

    keep_rows: bool = False

    def __call__(self, block: Block, parameters: RidgePath) -> LeaveOneOutSums:
        path = parameters
        n_alphas, n_targets = len(path.shrinkage), path.slopes.shape[1]
        models = path.shrinkage[:, :, None] * path.slopes  # (n_alphas, rank, n_targets)
        columns = np.moveaxis(models, 0, 1).reshape(-1, n_alphas * n_targets)
        wide = block.X.shape[1] + columns.shape[1]
        size = tile_rows(wide)
        buffer = scratch("wide", (min(size, block.n_rows), block.X.shape[1]))
        targets, centre = block.targets, repeated(path.centre)
        sums = np.zeros((n_alphas, n_targets))
        kept: list[FloatArray] = []
        for rows in tiles(block.n_rows, size):
            along = centred_tile(block.X[rows], centre, buffer) @ path.vectors
            fitted = (along @ columns).reshape(len(along), n_alphas, n_targets)
            residuals = (targets[rows] - path.target_means)[:, None, :] - fitted
            leverage = (along * along) @ path.shrinkage.T + path.constant
            weight = None if block.weight is None else block.weight[rows]
            left = 1.0 - (leverage if weight is None else leverage * weight[:, None])
            errors = residuals / left[:, :, None]
            squares = errors * errors
            if weight is not None:
                squares *= weight[:, None, None]
            sums += squares.sum(axis=0)
            if self.keep_rows:
                kept.append(errors)
        return LeaveOneOutSums(sums, kept)

    def combine(self, left: LeaveOneOutSums, right: LeaveOneOutSums) -> LeaveOneOutSums:
        left.squared_errors += right.squared_errors
        left.errors += right.errors
        return left

    def is_finite(self, partial: LeaveOneOutSums) -> bool:
        return True  # the pass that computed the Gram matrix has checked the data
