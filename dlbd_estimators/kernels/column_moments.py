"""Mean and variance of each column, without the cross products of columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.centring import centre_of
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles


@dataclass
class ColumnMoments:
    """Number of rows, and mean and squared deviations of each column; weights are ignored.

    The mean is ``origin + rest``: if it is far from zero, a single float64 cannot hold the digits
    in which the means of blocks differ.

    Attributes
    ----------
    n_rows : int
        Number of rows, whatever their weight.
    origin, rest : ndarray of shape (n_features,)
        The mean, in two parts.
    squares : ndarray of shape (n_features,)
        Sums of the squared deviations from the mean.
    """

    n_rows: int
    origin: FloatArray
    rest: FloatArray
    squares: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean of each column."""
        return self.origin + self.rest


@dataclass(frozen=True)
class ColumnMomentsKernel(Kernel[ColumnMoments]):
    """Means and squared deviations of the features of one block, in float64.

    Blocks are joined by the update of Chan, Golub and LeVeque (1983).
    """

    def __call__(self, block: Block, parameters: None = None) -> ColumnMoments:
        n = block.X.shape[1]
        size = tile_rows(n)
        shift = centre_of(block.X, None, size)
        rest, squares = np.zeros(n), np.zeros(n)
        wide = scratch("wide", (min(size, block.n_rows), n), np.dtype(np.float64))
        for rows in tiles(block.n_rows, size):
            columns = wide[: rows.stop - rows.start]
            np.subtract(block.X[rows], shift, out=columns)
            rest += columns.sum(axis=0)
            squares += np.einsum("ij,ij->j", columns, columns)
        if block.n_rows:
            rest /= block.n_rows
            squares -= block.n_rows * rest**2
        return ColumnMoments(block.n_rows, shift, rest, np.maximum(squares, 0.0))

    def combine(self, left: ColumnMoments, right: ColumnMoments) -> ColumnMoments:
        if not left.n_rows or not right.n_rows:
            return right if not left.n_rows else left
        n_rows = left.n_rows + right.n_rows
        gap = (right.origin - left.origin) + (right.rest - left.rest)
        share = right.n_rows / n_rows
        squares = left.squares + right.squares + gap**2 * (left.n_rows * share)
        return ColumnMoments(n_rows, left.origin, left.rest + share * gap, squares)

    def is_finite(self, partial: ColumnMoments) -> bool:
        return bool(np.isfinite(partial.squares).all() and np.isfinite(partial.mean).all())
