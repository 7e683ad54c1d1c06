"""The approximate centre of a block's columns, and parameters for centred features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.kernel import Block, scratch, tile_rows
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sparse_rows import is_sparse

#: Number of rows whose mean centres a block; any constant near the mean would do.
CENTRING_ROWS = 256


def centre_of(
    columns: FloatArray, weight: FloatArray | None, n_rows: int = CENTRING_ROWS
) -> FloatArray:
    """Return the approximate centre of a block's columns: the mean of its first rows, in float64.

    Rows of zero weight are skipped. The centre of a constant column is exactly its value. The
    centre of a column that holds NaN or infinity, or has no rows, is zero.

    Parameters
    ----------
    columns : ndarray or SparseRows of shape (n_rows, n_columns)
        Columns of any real dtype. Of sparse rows, no more are averaged than fit in a tile.
    weight : ndarray of shape (n_rows,) or None
        Sample weights.
    n_rows : int
        Number of rows to average.
    """
    if is_sparse(columns):
        n_rows = min(n_rows, tile_rows(columns.shape[1]))
    rows = columns[:n_rows] if weight is None else columns[np.flatnonzero(weight)[:n_rows]]
    if not len(rows):
        return np.zeros(columns.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        first = rows[0].astype(np.float64)
        rest = np.subtract(rows, first, out=scratch("minus first row", rows.shape))
        centre: FloatArray = first + np.add.reduce(rest, axis=0) / len(rows)
        finite = np.isfinite(centre)
        return centre if finite.all() else np.where(finite, centre, 0.0)


def centre_of_block(block: Block) -> FloatArray:
    """Return ``centre_of(block.X, None)``; a block keeps it, because several passes ask for it."""
    kept = vars(block)
    if "centre" not in kept:
        kept["centre"] = centre_of(block.X, None)
    return np.asarray(kept["centre"])


def is_near_zero(centre: FloatArray, rows: FloatArray, limit: float) -> bool:
    """Return whether products lose few digits if columns are not centred.

    Parameters
    ----------
    centre : ndarray of shape (n_columns,)
        Approximate mean of each column, in float64.
    rows : ndarray of shape (n_rows, n_columns)
        Some rows. Without rows, the result is True.
    limit : float
        The largest squared mean, relative to the variance, of a column near zero. Products of
        columns that are not centred lose as many digits as this number has. A constant column is
        only near zero if it is zero.
    """
    if not centre.any():
        return True
    centred = np.subtract(rows, centre, dtype=np.float64)
    variance = np.einsum("ij,ij->j", centred, centred) / len(rows)
    return bool(np.all(centre * centre <= limit * variance))


@dataclass(frozen=True)
class Centring:
    """Converts parameters and derivatives of a linear model to those for centred features.

    The coefficients ``w`` are the same; the intercept ``b`` becomes ``b + mean . w``.

    Parameters
    ----------
    packing : Packing
        Order of the parameters.
    mean : ndarray of shape (n_features,)
        Value subtracted from each feature; zero has no effect.
    """

    shapes: ClassVar[Shapes] = {"mean": ("n_features",)}

    packing: Packing
    mean: FloatArray

    def gradient(self, gradient: FloatArray) -> FloatArray:
        """Return the gradient with respect to the parameters for centred features."""
        rows = gradient.reshape(self.packing.shape).copy()
        if self.packing.fit_intercept:
            rows[:, :-1] -= rows[:, -1:] * self.mean
        return np.asarray(rows.ravel())

    def centred(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for centred features that give the same model."""
        rows = parameters.reshape(self.packing.shape).copy()
        if self.packing.fit_intercept:
            rows[:, -1] += rows[:, :-1] @ self.mean
        return np.asarray(rows.ravel())

    def parameters(self, centred: FloatArray) -> FloatArray:
        """Return the parameters for uncentred features that give the same model."""
        rows = centred.reshape(self.packing.shape).copy()
        if self.packing.fit_intercept:
            rows[:, -1] -= rows[:, :-1] @ self.mean
        return np.asarray(rows.ravel())

    def matrix(self, matrix: FloatArray) -> FloatArray:
        """Return the Hessian with respect to the parameters for centred features."""
        outputs, width = self.packing.shape
        if outputs == 1:  # arrays of four axes would take twice as long
            square = matrix.copy()
            if self.packing.fit_intercept:
                square[:-1] -= self.mean[:, None] * square[-1]
                square[:, :-1] -= square[:, -1:] * self.mean
            return square
        square = matrix.reshape(outputs, width, outputs, width).copy()
        if self.packing.fit_intercept:
            square[:, :-1] -= self.mean[:, None, None] * square[:, -1:]
            square[..., :-1] -= square[..., -1:] * self.mean
        return np.asarray(square.reshape(matrix.shape))

    def per_output(self, matrices: FloatArray) -> FloatArray:
        """Return each output's own Hessian, (n_outputs, width, width), for centred features."""
        matrices = matrices.copy()
        if self.packing.fit_intercept:
            matrices[:, :-1] -= self.mean[:, None] * matrices[:, -1:]
            matrices[..., :-1] -= matrices[..., -1:] * self.mean
        return matrices
