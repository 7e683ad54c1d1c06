"""The triangular factor of [X, y], block by block, for accurate least squares.

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

    The parameters of the pass are the centre ``c``: the approximate mean of each column of
    [X, y], or zeros. If ``constant`` is False, the leading column of ones is left out. If
    it is True, the first row of R holds, up to a factor, the exact means minus ``c``, and the
    other rows are the factor of the exactly centred columns. The partial is the square matrix R.
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
    # check_finite=False: NaN must reach `is_finite`, so that its row can be found.
    (triangle,) = linalg.qr(stack, mode="r", check_finite=False)
    return np.asarray(triangle[: stack.shape[1]])
