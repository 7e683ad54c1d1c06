"""Weighted cross products of the features: the Hessian of a linear model, tile by tile."""

from __future__ import annotations

import numpy as np

from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.objectives.centring import centre_of
from dlbd_estimators.objectives.kernels import scratch
from dlbd_estimators.objectives.losses import Loss
from dlbd_estimators.objectives.packing import Packing


class HessianSum:
    """Weighted cross products of the features of one block, summed over its tiles.

    With an intercept the products are formed of centred features, ``(x - c)(x - c)^T``, and
    the terms in ``c`` restored in float64 from the border ``sum h x``: a column whose mean is
    large beside its spread would otherwise lose that spread to the rounding of float32.

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
    block : ndarray of shape (n_rows, n_features)
        The features of the block.
    size : int
        Rows of the largest tile.
    origin : ndarray of shape (n_features,) or None
        What the features of the result are centred by; None is zero.
    """

    def __init__(
        self,
        loss: Loss,
        packing: Packing,
        dtype: str,
        block: FloatArray,
        size: int,
        origin: FloatArray | None,
    ) -> None:
        self._loss = loss
        self._packing = packing
        n = packing.n_features
        free = packing.n_outputs - 1 if loss.coupled else packing.n_outputs
        self._pairs = [
            (k, j) for k in range(free) for j in range(k, free) if loss.coupled or j == k
        ]
        # Products, borders sum h x, and curvatures sum h.
        self._sums = {pair: (np.zeros((n, n)), np.zeros(n), np.zeros(())) for pair in self._pairs}
        self._source = scratch("source", (size, n), dtype)
        self._scaled = scratch("scaled", (size, n), dtype)
        self._product = scratch("product", (n, n), dtype)
        # In the dtype of the rows, so that taking it off is exact whatever the products' is.
        self._centre = np.zeros(n, dtype=block.dtype)
        if packing.fit_intercept:
            self._centre = centre_of(block, None).astype(block.dtype)
        #: The same, as a tile's rows in float64 are centred already.
        self._offset = self._centre.astype(np.float64)
        if origin is not None:
            self._offset -= origin

    def add(self, X: FloatArray, narrow: FloatArray, point: FloatArray) -> None:
        """Add a tile.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Its rows in float64, less the origin. Used up: they are not the same afterwards.
        narrow : ndarray of shape (n_rows, n_features)
            The same rows in the dtype they are stored in.
        point : ndarray
            Curvature of its rows, as the loss gave it.
        """
        curvatures = [self._loss.curvature_between(point, k, j) for k, j in self._pairs]
        for pair, curvature in zip(self._pairs, curvatures, strict=True):
            _, border, total = self._sums[pair]
            border += curvature @ X
            total += curvature.sum()
        scaled = self._scaled[: len(X)]
        with np.errstate(over="ignore", invalid="ignore"):
            source = self._centred(X, narrow)
            for (k, j), curvature in zip(self._pairs, curvatures, strict=True):
                # One operand twice: BLAS then does half the work (syrk).
                factor = np.sqrt(curvature) if k == j else curvature
                np.multiply(source, factor.astype(scaled.dtype)[:, None], out=scaled)
                np.matmul(scaled.T, scaled if k == j else source, out=self._product)
                products = self._sums[k, j][0]
                products += self._product

    def _centred(self, X: FloatArray, narrow: FloatArray) -> FloatArray:
        source = self._source[: len(X)]
        if narrow.dtype == source.dtype:
            np.subtract(narrow, self._centre, out=source)
        else:
            # Converting within the subtraction would be half as fast: NumPy then buffers.
            np.subtract(X, self._offset, out=X)
            np.copyto(source, X, casting="same_kind")
        return source

    def packed(self) -> FloatArray:
        """Return the whole symmetric Hessian in the packed order."""
        outputs, width = self._packing.shape
        n = self._packing.n_features
        centre = self._offset
        full = np.zeros((outputs, width, outputs, width))
        for (k, j), (products, border, total) in self._sums.items():
            outer = np.outer(centre, border - 0.5 * total * centre)
            block = np.empty((width, width))
            block[:n, :n] = products + outer + outer.T
            if width > n:
                block[:n, n] = block[n, :n] = border
                block[n, n] = total
            full[k, :, j, :] = full[j, :, k, :] = block
        if self._loss.coupled:
            last = outputs - 1
            full[:last, :, last, :] = -full[:last, :, :last, :].sum(axis=2)
            full[last, :, :last, :] = full[:last, :, last, :].transpose(1, 0, 2)
            full[last, :, last, :] = -full[:last, :, last, :].sum(axis=0)
        return full.reshape(outputs * width, outputs * width)
