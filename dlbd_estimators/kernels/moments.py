"""Centred second moments of features and targets: all a least-squares fit needs.

For the columns ``a = [x, y]`` the partial holds the weight ``W``, the mean ``m`` and
``M = sum_i s_i (a_i - m)(a_i - m)^T``. A block is centred by the mean of its first rows
before any product is formed, so that no digits are lost if the mean is far larger than the
spread. If no mean is, X is used as it is stored, without a copy. Blocks are joined by the pairwise
update of Chan, Golub and LeVeque (1983). Without an intercept, the moments are about zero instead
of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.centring import CENTRING_ROWS, centre_of, is_near_zero
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.parts import DividedBlock, PartRows
from dlbd_estimators.kernels.sparse_products import (
    add_cross_products,
    centre_of_full_columns,
    has_few_entries,
    minus_centre,
)
from dlbd_estimators.kernels.sparse_rows import chosen_rows

#: The largest squared mean, relative to the variance, of columns that are not centred. Products
#: then lose one binary digit. If they lost more, Ridge on nearly dependent columns would show it.
_NEAR = 1.0
#: A longer sum in float32, of numbers that are almost equal, would lose digits.
_MOST_SUMMED_ROWS = 1024


@dataclass
class Moments:
    """Weight, mean and centred cross products of the columns of [X, y].

    The mean is ``origin + rest``: if it is far from zero, a single float64 cannot hold the digits
    in which the means of blocks differ. ``epsilon`` is the machine epsilon of the products' dtype.
    """

    shapes: ClassVar[Shapes] = {
        "origin": ("n_columns",), "rest": ("n_columns",), "products": ("n_columns", "n_columns"),
    }  # fmt: skip

    weight: float
    n_rows: int
    origin: FloatArray
    rest: FloatArray
    products: FloatArray
    epsilon: float

    @property
    def mean(self) -> FloatArray:
        """Weighted mean of each column."""
        return self.origin + self.rest


@dataclass(frozen=True)
class MomentsKernel(Kernel[Moments]):
    """Second moments of [X, y] on one block.

    Products of a tile are formed in the dtype of X and summed in float64.

    Parameters
    ----------
    centre : bool
        Whether moments are about the mean; otherwise they are about zero, and ``mean`` is zero.
    precise : bool
        Whether products are formed in float64 whatever the dtype of X.
    """

    centre: bool
    precise: bool = False

    def __call__(self, block: Block, parameters: None = None) -> Moments:
        return self.of_rows(block, slice(None))

    def of_rows(self, block: Block, selected: PartRows) -> Moments:
        """Return the moments of some rows of a block, of which no more than a tile is copied.

        Parameters
        ----------
        block : Block
            Block with the rows.
        selected : slice or ndarray of int
            Positions of the rows.
        """
        if has_few_entries(block.X):
            return self._of_sparse_rows(block, selected)
        targets = block.targets[selected]
        weights = None if block.weight is None else block.weight[selected]
        n_rows, n_features = len(targets), block.X.shape[1]
        width = n_features + targets.shape[1]
        size = tile_rows(width)
        dtype = np.dtype(np.float64) if self.precise else block.X.dtype
        shift = np.zeros(width)
        if self.centre:
            shift[n_features:] = centre_of(targets, weights, size)
        if weights is None and dtype == block.X.dtype and targets.shape[1] == 1:
            sample = _rows(block.X, selected, slice(min(size, CENTRING_ROWS)))
            if not self.centre or is_near_zero(centre_of(sample, None), sample, _NEAR):
                middle = float(shift[n_features])
                return self._of_stored_rows(block, selected, targets[:, 0], middle)
        if self.centre:
            first = slice(size) if weights is None else np.flatnonzero(weights)[:size]
            shift[:n_features] = centre_of(_rows(block.X, selected, first), None, size)
        tile = scratch("wide", (min(size, n_rows), width), dtype)
        product = scratch("product", (width, width), tile.dtype)
        products, offset, weight = np.zeros((width, width)), np.zeros(width), 0.0
        narrow = shift[:n_features].astype(tile.dtype)
        shift[:n_features] = narrow
        for rows in tiles(n_rows, size):
            columns = tile[: len(targets[rows])]
            np.subtract(_rows(block.X, selected, rows), narrow, out=columns[:, :n_features])
            columns[:, n_features:] = targets[rows] - shift[n_features:]
            root = np.ones(len(columns), dtype=tile.dtype)
            if weights is None:
                weight += len(columns)
            else:
                weight += float(weights[rows].sum())
                root[:] = np.sqrt(weights[rows])
                columns *= root[:, None]
            np.matmul(columns.T, columns, out=product)
            products += product
            if self.centre:
                offset += root @ columns
        epsilon = float(np.finfo(tile.dtype).eps)
        return self._about_mean(Moments(weight, n_rows, shift, offset, products, epsilon))

    def _of_stored_rows(
        self, block: Block, selected: PartRows, y: FloatArray, middle: float
    ) -> Moments:
        """Return the moments of rows about zero, and about ``middle`` for the target."""
        X, n_rows, n = block.X, len(y), block.X.shape[1]
        size = min(tile_rows(n), _MOST_SUMMED_ROWS)
        product = scratch("product", (n, n), X.dtype)
        products, shift, offset = np.zeros((n + 1, n + 1)), np.zeros(n + 1), np.zeros(n + 1)
        shift[n] = middle
        ones = np.ones(min(size, n_rows), dtype=X.dtype)
        for rows in tiles(n_rows, size):
            tile, target = _rows(X, selected, rows), y[rows] - middle
            np.matmul(tile.T, tile, out=product)
            products[:n, :n] += product
            products[n, :n] += target.astype(X.dtype, copy=False) @ tile
            products[n, n] += target @ target
            if self.centre:
                offset[:n] += ones[: len(tile)] @ tile
                offset[n] += target.sum()
        products[:n, n] = products[n, :n]
        epsilon = float(np.finfo(X.dtype).eps)
        return self._about_mean(Moments(float(n_rows), n_rows, shift, offset, products, epsilon))

    def _of_sparse_rows(self, block: Block, selected: PartRows) -> Moments:
        """Return the moments of rows with few entries, in float64, without a dense tile."""
        targets, rows = block.targets[selected], chosen_rows(block.X, selected).matrix
        n_rows, n = rows.shape
        weights = np.ones(n_rows) if block.weight is None else block.weight[selected]
        shift = np.zeros(n + targets.shape[1])
        if self.centre:
            present = rows if block.weight is None else rows[np.flatnonzero(weights)]
            shift[:n] = centre_of_full_columns(present)
            shift[n:] = centre_of(targets, None if block.weight is None else weights)
        rows, targets = minus_centre(rows, shift[:n]), targets - shift[n:]
        products, offset = np.zeros((len(shift), len(shift))), np.zeros(len(shift))
        add_cross_products(products[:n, :n], rows, weights)
        weighted = weights[:, None] * targets
        products[:n, n:] = rows.T @ weighted
        products[n:, :n] = products[:n, n:].T
        products[n:, n:] = targets.T @ weighted
        if self.centre:
            offset[:n], offset[n:] = rows.T @ weights, weights @ targets
        epsilon = float(np.finfo(np.float64).eps)
        weight = float(weights.sum())
        return self._about_mean(Moments(weight, n_rows, shift, offset, products, epsilon))

    def _about_mean(self, sums: Moments) -> Moments:
        """Return moments about the mean, given sums about ``origin`` and ``rest`` not divided."""
        if self.centre and sums.weight > 0:
            sums.rest /= sums.weight
            sums.products -= sums.weight * np.outer(sums.rest, sums.rest)
        return sums

    def combine(self, left: Moments, right: Moments) -> Moments:
        weight = left.weight + right.weight
        products = left.products
        products += right.products
        origin, rest = left.origin, left.rest
        if self.centre and left.weight == 0:
            origin, rest = right.origin, right.rest
        elif self.centre and right.weight > 0:
            gap = (right.origin - left.origin) + (right.rest - left.rest)
            share = right.weight / weight
            products += (left.weight * share) * np.outer(gap, gap)
            rest = rest + share * gap
        n_rows = left.n_rows + right.n_rows
        epsilon = max(left.epsilon, right.epsilon)
        return Moments(weight, n_rows, origin, rest, products, epsilon)

    def is_finite(self, partial: Moments) -> bool:
        return bool(np.isfinite(partial.products).all() and np.isfinite(partial.mean).all())


@dataclass(frozen=True)
class PartMomentsKernel(MomentsKernel):
    """Second moments of the rows of one part of a divided block.

    Parameters
    ----------
    part : int
        Number of the part.
    """

    part: int = 0

    def __call__(self, block: Block, parameters: None = None) -> Moments:
        assert isinstance(block, DividedBlock)
        return self.of_rows(block, block.parts[self.part])


def _rows(X: FloatArray, selected: PartRows, rows: PartRows) -> FloatArray:
    """Return ``X[selected][rows]``; a copy lies in memory that the next call uses again."""
    if isinstance(selected, slice):
        return X[selected][rows]
    positions = selected[rows]
    out = scratch("selected", (len(positions), X.shape[1]), X.dtype)
    # "clip" lets NumPy write to `out` directly; no position is out of range.
    return np.take(X, positions, axis=0, out=out, mode="clip")
