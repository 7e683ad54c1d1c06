"""Weighted cross products of the features: the Hessian of a linear model, tile by tile."""

from __future__ import annotations

import numpy as np

from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.kernels import scratch
from dlbd_estimators.objectives.losses import Loss
from dlbd_estimators.objectives.packing import Packing


class HessianSum:
    """Weighted cross products of the features, summed over tiles.

    Of a coupled loss only the first K-1 outputs are formed: the curvature's rows sum
    to zero over the outputs, which gives the last one.

    Parameters
    ----------
    loss : Loss
        Says which outputs are coupled, and their curvature.
    packing : Packing
        Order of the parameters.
    dtype : str
        ``"float32"`` or ``"float64"``: precision of a tile's products. Sums are float64.
    size : int
        Rows of the largest tile.
    """

    def __init__(self, loss: Loss, packing: Packing, dtype: str, size: int) -> None:
        self._loss = loss
        self._packing = packing
        self._dtype = np.dtype(dtype)
        outputs, width = packing.shape
        free = outputs - 1 if loss.coupled else outputs
        self._pairs = [
            (k, j) for k in range(free) for j in range(k, free) if loss.coupled or j == k
        ]
        self._sums = {pair: np.zeros((width, width)) for pair in self._pairs}
        self._source = scratch("source", (size, packing.n_features), self._dtype)
        self._scaled = scratch("scaled", (size, packing.n_features), self._dtype)
        self._product = scratch("product", (packing.n_features,) * 2, self._dtype)

    def add(self, X: FloatArray, narrow: FloatArray, point: FloatArray) -> None:
        """Add a tile.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Its rows in float64.
        narrow : ndarray of shape (n_rows, n_features)
            The same rows in the dtype they are stored in.
        point : ndarray
            Curvature of its rows, as the loss gave it.
        """
        n = self._packing.n_features
        source = narrow
        if narrow.dtype != self._dtype:
            # Converting while multiplying would be half as fast: NumPy then buffers.
            source = self._source[: len(X)]
            np.copyto(source, X, casting="same_kind")
        scaled = self._scaled[: len(X)]
        for k, j in self._pairs:
            curvature = self._loss.curvature_between(point, k, j)
            total = self._sums[k, j]
            # One operand twice: BLAS then does half the work (syrk).
            factor = np.sqrt(curvature) if k == j else curvature
            with np.errstate(over="ignore", invalid="ignore"):
                np.multiply(source, factor.astype(self._dtype)[:, None], out=scaled)
                np.matmul(scaled.T, scaled if k == j else source, out=self._product)
                total[:n, :n] += self._product
            if self._packing.fit_intercept:
                border = curvature @ X
                total[:n, n] += border
                total[n, :n] += border
                total[n, n] += curvature.sum()

    def packed(self) -> FloatArray:
        """Return the whole symmetric Hessian in the packed order."""
        outputs, width = self._packing.shape
        full = np.zeros((outputs, width, outputs, width))
        for (k, j), total in self._sums.items():
            full[k, :, j, :] = total
            full[j, :, k, :] = total
        if self._loss.coupled:
            last = outputs - 1
            full[:last, :, last, :] = -full[:last, :, :last, :].sum(axis=2)
            full[last, :, :last, :] = full[:last, :, last, :].transpose(1, 0, 2)
            full[last, :, last, :] = -full[:last, :, last, :].sum(axis=0)
        return full.reshape(outputs * width, outputs * width)
