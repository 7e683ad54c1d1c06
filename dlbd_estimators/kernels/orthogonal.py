"""The triangular factor of [X, y], block by block: least squares without squaring.

The products of :mod:`~dlbd_estimators.kernels.moments` square the condition number;
an orthogonal factorisation does not. Triangles of neighbouring blocks are joined by
factoring one on top of the other (TSQR; Demmel, Grigori, Hoemmen, Langou 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles


@dataclass(frozen=True)
class TriangleKernel(Kernel[FloatArray]):
    """R of ``sqrt(s) [1, X - c, y - c] = Q R`` on one block, in float64.

    The parameters of the pass are the centre ``c``: about the mean of each column of
    [X, y], or zeros. The leading column is left out without ``constant``; with it, the
    first row of R holds what the centre missed of the means, and the rest the exactly
    centred factor. The partial is square.
    """

    constant: bool

    def __call__(self, block: Block, parameters: FloatArray) -> FloatArray:
        n_features = block.X.shape[1]
        targets = block.targets
        lead = int(self.constant)
        width = lead + n_features + targets.shape[1]
        size = max(tile_rows(width), width)
        stack = np.zeros((width + min(size, block.n_rows), width))
        for rows in tiles(block.n_rows, size):
            columns = stack[width : width + rows.stop - rows.start]
            columns[:, :lead] = 1.0
            columns[:, lead : lead + n_features] = block.X[rows]
            columns[:, lead + n_features :] = targets[rows]
            columns[:, lead:] -= parameters
            if block.weight is not None:
                columns *= np.sqrt(block.weight[rows])[:, None]
            stack[:width] = _triangle(stack[: width + len(columns)])
        return stack[:width].copy()

    def combine(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return _triangle(np.vstack([left, right]))

    def is_finite(self, partial: FloatArray) -> bool:
        return bool(np.isfinite(partial).all())


def _triangle(stack: FloatArray) -> FloatArray:
    # check_finite=False: NaN must come through to `is_finite`, which finds its row.
    (triangle,) = linalg.qr(stack, mode="r", check_finite=False)
    return np.asarray(triangle[: stack.shape[1]])
