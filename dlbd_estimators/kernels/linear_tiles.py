"""Tiles of the rows of a block, for the kernels of linear models."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block, scratch, tile_rows
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.repeated_row import RepeatedRow
from dlbd_estimators.kernels.sparse_rows import SparseTile, operand


class Tiles:
    """Returns the tiles of a block, minus a centre, in float64.

    Parameters
    ----------
    block : Block
        The rows.
    packing : Packing
        Order of the parameters.
    order : Order
        Derivatives that are computed from a tile.
    centre : ndarray of shape (n_features,) or None
        Subtracted from the rows; None means zero.
    sparse : bool
        Whether the tiles of sparse rows stay sparse.

    Attributes
    ----------
    size, most_rows : int
        Number of rows of a tile, and of the largest tile of this block.
    sparse : bool
        Whether the tiles are sparse.
    """

    def __init__(
        self,
        block: Block,
        packing: Packing,
        order: Order,
        centre: FloatArray | None,
        *,
        sparse: bool,
    ) -> None:
        self._X = block.X
        self._centre = centre
        self._subtracted = None if sparse else repeated(centre)
        self.sparse = sparse
        # With many outputs, the raw predictions are wider than the rows of X. Only they take
        # memory if the rows stay sparse.
        columns = 1 if sparse else packing.n_features
        self.size = tile_rows(max(columns, packing.n_outputs), products=order >= Order.HESSIAN)
        if sparse and order >= Order.HESSIAN:
            # Adding the dense products of a tile to the sum must not take longer than the products.
            self.size = max(self.size, 4 * packing.n_features)
        self.most_rows = min(self.size, block.n_rows)
        self._wide = scratch("wide", (0 if sparse else self.most_rows, packing.n_features))

    def __call__(self, rows: slice) -> tuple[Any, Any]:
        """Return a tile as it is stored, and minus the centre in float64."""
        if self.sparse:
            tile = SparseTile(operand(self._X, rows), self._centre)
            return tile, tile
        narrow = self._X[rows]
        return narrow, centred_tile(narrow, self._subtracted, self._wide)


def repeated(centre: FloatArray | None) -> RepeatedRow | None:
    """Return the centre of a block as :func:`centred_tile` takes it."""
    return None if centre is None else RepeatedRow(centre, np.float64)


def centred_tile(narrow: FloatArray, centre: RepeatedRow | None, wide: FloatArray) -> FloatArray:
    """Return the rows of a tile in float64, minus a centre, written into ``wide``."""
    X = wide[: len(narrow)]
    if centre is None:
        np.copyto(X, narrow)
    elif narrow.dtype == X.dtype:
        centre.combine(np.subtract, narrow, X)
    else:  # converting within np.subtract would take twice as long: NumPy would buffer
        np.copyto(X, narrow)
        centre.combine(np.subtract, X, X)
    return X
