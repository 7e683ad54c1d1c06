"""Weighted cross products of the features: the Hessian of a linear model, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.centring import CENTRING_ROWS, centre_of_block, is_near_zero
from dlbd_estimators.kernels.kernel import Block, scratch
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.repeated_row import RepeatedRow
from dlbd_estimators.kernels.sparse_products import (
    add_cross_products,
    centre_of_full_columns,
    minus_centre,
)

#: Up to this number of outputs, a loop over the outputs costs little.
_FEW_OUTPUTS = 8
#: The largest squared mean, relative to the variance, of columns that are not centred. A Hessian
#: with five correct digits leads to the same solution, after as many passes.
_NEAR = 10.0
#: A matrix product is given at least this number of columns, if there are as many.
_WIDE = 256


class HessianSum:
    """Weighted cross products of the features of one block, summed over its tiles.

    With an intercept the products are those of centred features, ``(x - c)(x - c)^T``, and
    the terms in ``c`` are restored in float64 from the border ``sum h x``. Without centring,
    a column whose mean is much larger than its spread would lose the spread to the rounding
    of float32. If there is no such column, ``c`` is zero, and rows are used as they are stored.

    For a coupled loss only the products of the first K-1 outputs are computed. The curvature
    sums to zero over the outputs, which gives the products of the last output.

    Parameters
    ----------
    loss : Loss
        Determines which outputs are coupled, and their curvature.
    packing : Packing
        Order of the parameters.
    dtype : str
        ``"float32"`` or ``"float64"``: precision of a tile's products. Sums are float64.
    block : Block
        The rows.
    size : int
        Number of rows of the largest tile.
    origin : ndarray of shape (n_features,) or None
        Centre of the features of the result; None means zero.
    per_output : int
        If above zero, only the products of each output with itself are computed, from every
        ``per_output``-th row, and multiplied by ``per_output`` to stand for all rows.
    """

    def __init__(
        self,
        loss: Loss,
        packing: Packing,
        dtype: str,
        block: Block,
        size: int,
        origin: FloatArray | None,
        per_output: int = 0,
    ) -> None:
        self._loss = loss
        self._packing = packing
        self._per_output = per_output
        #: Precision of the products.
        self.dtype = np.dtype(dtype)
        n = packing.n_features
        crossed = loss.coupled and not per_output
        free = packing.n_outputs - 1 if crossed else packing.n_outputs
        self._pairs = [(k, j) for k in range(free) for j in range(k, free) if crossed or j == k]
        # For each pair of outputs: products, borders sum h x, and curvatures sum h.
        self._products = np.zeros((len(self._pairs), n, n))
        self._borders = np.zeros((len(self._pairs), n))
        self._totals = np.zeros(len(self._pairs))
        self._by_feature = self._multiplies_by_feature()
        if self._by_feature:  # one row per output: the products of features i <= j
            self._triangles = np.zeros((len(self._pairs), n * (n + 1) // 2))
        self._centre = self._centre_of(block, size)
        self._is_centred = bool(self._centre.any())
        #: What centred rows lack: with it they are the rows minus the origin.
        self.offset = self._centre.astype(np.float64)
        if origin is not None:
            self.offset -= origin
        # Subtracted from the rows as they are stored, if their dtype is that of the products; else
        # from the rows in float64.
        if block.X.dtype == self.dtype:
            self._subtracted = RepeatedRow(self._centre, self.dtype)
        else:
            self._subtracted = RepeatedRow(self.offset, np.float64)

    def _multiplies_by_feature(self) -> bool:
        return bool(self._per_output) and len(self._pairs) > max(
            self._packing.n_features, _FEW_OUTPUTS
        )

    def _centre_of(self, block: Block, size: int) -> FloatArray:
        """Return the centre of a block, and take the memory for tiles of `size` rows."""
        n = self._packing.n_features
        self._source = scratch("source", (size, n), self.dtype)
        self._scaled = scratch("scaled", (size, n), self.dtype)
        self._product = scratch("product", (n, n), self.dtype)
        # In the dtype of the rows: subtracting it is then exact for any dtype of the products.
        X = block.X
        centre: FloatArray = np.zeros(n)
        if self._packing.fit_intercept:
            centre = centre_of_block(block)
            # Rows of another dtype are copied in any case: then centring them costs nothing.
            if X.dtype == self.dtype:
                near = is_near_zero(centre, X[: min(size, CENTRING_ROWS)], _NEAR)
                centre = np.zeros(n) if near else centre
        return np.asarray(centre.astype(X.dtype))

    def centred(self, X: Any, narrow: Any) -> Any:
        """Return the rows of a tile minus their centre, in the precision of the products.

        With ``per_output`` these are the rows that the products are computed from.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows of the tile in float64, minus the origin.
        narrow : ndarray of shape (n_rows, n_features)
            The same rows in the dtype they are stored in.
        """
        if self._per_output:
            X, narrow = X[:: self._per_output], narrow[:: self._per_output]
        if narrow.dtype == self.dtype and not self._is_centred:
            return narrow
        rows = self._source[: len(X)]
        # Rows far beyond the range of float32 make an infinite Hessian, which the solver handles.
        with np.errstate(over="ignore"):
            if narrow.dtype == rows.dtype:
                self._subtracted.combine(np.subtract, narrow, rows)
            else:
                # Converting within np.subtract would take twice as long: NumPy would buffer.
                wide = scratch("centred", X.shape)
                self._subtracted.combine(np.subtract, X, wide)
                np.copyto(rows, wide, casting="same_kind")
        return rows

    def add(self, X: Any, centred: Any, point: FloatArray) -> None:
        """Add a tile.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows of the tile in float64, minus the origin.
        centred : ndarray
            The result of :meth:`centred` for these rows.
        point : ndarray
            Curvature of the rows, as returned by the loss.
        """
        if self._per_output:
            X, point = X[:: self._per_output], point[:: self._per_output]
        if self._by_feature:
            self._add_by_feature(X, centred, self._loss.curvature_of_each(point, len(self._pairs)))
            return
        curvatures = [self._loss.curvature_between(point, k, j) for k, j in self._pairs]
        for index, curvature in enumerate(curvatures):
            self._borders[index] += curvature @ X
            self._totals[index] += curvature.sum()
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_by_pair(centred, curvatures)

    def _add_by_pair(self, source: Any, curvatures: list[FloatArray]) -> None:
        scaled = self._scaled[: len(source)]
        for (k, j), curvature, products in zip(
            self._pairs, curvatures, self._products, strict=True
        ):
            # With the same operand on both sides, BLAS does half the work (syrk).
            factor = np.sqrt(curvature) if k == j else curvature
            np.multiply(source, factor.astype(scaled.dtype)[:, None], out=scaled)
            np.matmul(scaled.T, scaled if k == j else source, out=self._product)
            products += self._product

    def _add_by_feature(self, X: FloatArray, source: FloatArray, curvature: FloatArray) -> None:
        """Add a tile if there are more outputs than features.

        This forms a few large matrix products instead of many small ones.
        """
        self._borders += curvature.T @ X
        self._totals += curvature.sum(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            curvature = curvature.astype(source.dtype, copy=False)
            n, begin, first = source.shape[1], 0, 0
            while first < n:
                last, width = first + 1, n - first
                while last < n and width < _WIDE:
                    last, width = last + 1, width + n - last
                feature_products = scratch("beside", (len(source), width), source.dtype)
                column = 0
                for i in range(first, last):
                    products = feature_products[:, column : column + n - i]
                    np.multiply(source[:, i, None], source[:, i:], out=products)
                    column += n - i
                self._triangles[:, begin : begin + width] += curvature.T @ feature_products
                begin, first = begin + width, last

    def packed(self) -> FloatArray:
        """Return the whole symmetric Hessian in the packed order.

        With ``per_output`` it is an array of shape (n_outputs, width, width).
        """
        outputs, width = self._packing.shape
        if self._by_feature:
            rows, columns = np.triu_indices(self._packing.n_features)
            self._products[:, rows, columns] = self._triangles
            self._products[:, columns, rows] = self._triangles
        if self._per_output:
            return self._per_output * np.stack(list(map(self._square, range(len(self._pairs)))))
        if outputs == 1:
            return self._square(0)
        full = np.zeros((outputs, width, outputs, width))
        for index, (k, j) in enumerate(self._pairs):
            full[k, :, j, :] = full[j, :, k, :] = self._square(index)
        if self._loss.coupled:
            last = outputs - 1
            full[:last, :, last, :] = -full[:last, :, :last, :].sum(axis=2)
            full[last, :, :last, :] = full[:last, :, last, :].transpose(1, 0, 2)
            full[last, :, last, :] = -full[:last, :, last, :].sum(axis=0)
        return full.reshape(outputs * width, outputs * width)

    def _square(self, index: int) -> FloatArray:
        """Return the second derivatives with respect to the parameters of a pair of outputs."""
        n, width = self._packing.n_features, self._packing.shape[1]
        centre = self.offset
        products, border = self._products[index], self._borders[index]
        total = self._totals[index]
        square = np.empty((width, width))
        if centre.any():  # each of these takes as long as the products of some hundred rows
            outer = centre[:, None] * (border - 0.5 * total * centre)
            np.add(products, outer, out=square[:n, :n])
            square[:n, :n] += outer.T
        else:
            square[:n, :n] = products
        if width > n:
            square[:n, n] = square[n, :n] = border
            square[n, n] = total
        return square


class SparseHessianSum(HessianSum):
    """Weighted cross products of sparse rows, always in float64, without dense tiles.

    ``X`` and ``narrow`` of :meth:`centred` and :meth:`add` are the same
    :class:`~dlbd_estimators.kernels.sparse_rows.SparseTile`; centred rows are a CSR array.
    """

    def _multiplies_by_feature(self) -> bool:
        return False

    def _centre_of(self, block: Block, size: int) -> FloatArray:
        if not self._packing.fit_intercept:
            return np.zeros(self._packing.n_features)
        rows: Any = block.X
        return centre_of_full_columns(rows.matrix)

    def centred(self, X: Any, narrow: Any) -> Any:
        """Return the rows of a tile minus their centre, those that products are made of."""
        matrix = X.matrix[:: self._per_output] if self._per_output else X.matrix
        return minus_centre(matrix, self._centre)

    def _add_by_pair(self, source: Any, curvatures: list[FloatArray]) -> None:
        for curvature, products in zip(curvatures, self._products, strict=True):
            add_cross_products(products, source, curvature)
