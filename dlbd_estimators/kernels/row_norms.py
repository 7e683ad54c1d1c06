"""The largest norm of a row, which bounds how far any raw prediction changes along a step."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import scratch
from dlbd_estimators.kernels.repeated_row import RepeatedRow

#: Roundings of an element besides those of the sum over the columns.
_ROUNDINGS = 8


class LargestNorm:
    """Returns ``max_i sum_j c_j (x_ij - m_j)^2`` over the rows of a tile.

    It is computed in the precision of the rows, and rounded up: it is never too small.

    Parameters
    ----------
    ellipsoid : tuple of two ndarrays of shape (n_features,)
        Centre m and positive weights c.
    offset : ndarray of shape (n_features,)
        The rows are ``x - offset``.
    dtype : dtype
        Precision of the rows.
    """

    def __init__(
        self,
        ellipsoid: tuple[FloatArray, FloatArray],
        offset: FloatArray,
        dtype: npt.DTypeLike,
    ) -> None:
        centre, weights = ellipsoid
        # The roots stay within the range of float32 where the weights do not.
        roots = np.sqrt(weights)
        with np.errstate(over="ignore"):
            self._roots = RepeatedRow(roots, dtype)
            shift = (offset - centre) * roots
            self._shift = RepeatedRow(shift, dtype)
        epsilon = float(np.finfo(dtype).eps)
        self._slack = 1.0 + (len(roots) + _ROUNDINGS) * epsilon
        # Where a row and the shift cancel, the rounding is relative to the shift.
        self._rounding = 2.0 * epsilon * float(np.linalg.norm(shift))

    def __call__(self, rows: FloatArray) -> float:
        """Return the largest norm of the rows of a tile, squared."""
        scaled = scratch("described", rows.shape, rows.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            self._roots.combine(np.multiply, rows, scaled)
            self._shift.combine(np.add, scaled, scaled)
            square = float(np.einsum("ij,ij->i", scaled, scaled).max())
        return (math.sqrt(self._slack * square) + self._rounding) ** 2
