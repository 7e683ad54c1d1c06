"""The sum of the clipped gradients of a linear model's loss over a block, for private training.

A row ``z = [x, 1]`` is first shortened to the norm ``row_bound``: the loss then has curvature at
most ``curvature_bound * row_bound^2``, and gradient descent has a step length that is known in
advance. A row that is shortened still has the same predicted class, because all its raw predictions
are multiplied by the same factor. Then the gradient of the row, with its weight, is clipped to
``gradient_bound``. This bounds the influence of a row whatever the loss and the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing


@dataclass(frozen=True)
class ClippedLinearKernel(Kernel[FloatArray]):
    """Sum of clipped gradients of one block, in the packed order.

    Parameters
    ----------
    loss : Loss
        The pointwise loss.
    packing : Packing
        Order of the parameters.
    row_bound : float
        Largest norm of ``[x, 1]``, or of ``x`` without an intercept.
    gradient_bound : float
        Largest norm of a row's gradient: one row changes the sum by at most this.
    """

    loss: Loss
    packing: Packing
    row_bound: float
    gradient_bound: float

    def __call__(self, block: Block, parameters: FloatArray) -> FloatArray:
        n_columns = self.packing.shape[1]
        weights = parameters.reshape(self.packing.shape)
        size = max(1, min(tile_rows(n_columns), block.n_rows))
        total = np.zeros(self.packing.shape)
        for rows in tiles(block.n_rows, size):
            X = block.X[rows]
            Z = np.ones((len(X), n_columns))
            Z[:, : X.shape[1]] = X
            if not np.isfinite(Z).all():  # the pass then names the row
                return np.full(self.packing.size, np.nan)
            # Divided by the largest number first: the squares of large numbers overflow.
            largest = np.maximum(np.abs(Z).max(axis=1, initial=0.0), 1e-300)
            norms = largest * np.linalg.norm(Z / largest[:, None], axis=1)
            Z *= (self.row_bound / np.maximum(norms, self.row_bound))[:, None]
            weight = None if block.weight is None else block.weight[rows]
            point = self.loss.evaluate(block.y[rows], Z @ weights.T, weight, Order.GRADIENT)
            assert point.gradient is not None
            error = point.gradient
            lengths = np.linalg.norm(error, axis=1) * np.minimum(norms, self.row_bound)
            error *= (self.gradient_bound / np.maximum(lengths, self.gradient_bound))[:, None]
            total += error.T @ Z
        return total.ravel()

    def combine(self, left: FloatArray, right: FloatArray) -> FloatArray:
        left += right
        return left

    def is_finite(self, partial: FloatArray) -> bool:
        return bool(np.isfinite(partial).all())
