"""Classifiers for many penalty strengths and splits, fitted to a sample of rows in this process.

A *tilt* corrects the sampling error of the gradients. It is a linear term in the objective of each
model, and makes the gradient at one point equal to that of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.engine.parallel import call_in_threads
from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.kernel import Block, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits
from dlbd_estimators.kernels.paths import residuals
from dlbd_estimators.kernels.row_sample import DrawnRows

#: Gradients use several threads from this many multiplications on, and this many pieces of the rows
#: at most, so that their number does not depend on that of the threads.
_WORK_OF_A_PIECE, _MOST_PIECES = 2**23, 16


@dataclass(frozen=True)
class PathRows:
    """Rows in memory, in standard units: columns have mean 0 (with an intercept) and variance 1.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features in standard units.
    y : ndarray of shape (n_rows,)
        Class numbers, from 0.
    weight : ndarray of shape (n_rows,)
        Sample weights, divided by the probability that the row is drawn.
    probability : ndarray of shape (n_rows,)
        Probability that the row is drawn.
    times : ndarray of shape (n_rows, n_parts)
        How often each part contains each row.
    """

    shapes: ClassVar[Shapes] = {
        "X": ("n_rows", "n_features"), "y": ("n_rows",), "weight": ("n_rows",),
        "times": ("n_rows", "n_parts"),
    }  # fmt: skip

    X: FloatArray
    y: FloatArray
    weight: FloatArray
    probability: FloatArray
    times: FloatArray

    @classmethod
    def of(cls, drawn: DrawnRows, centre: FloatArray, scale: FloatArray) -> PathRows:
        """Return drawn rows in standard units.

        Parameters
        ----------
        drawn : DrawnRows
            The rows that a pass has drawn.
        centre, scale : ndarray of shape (n_features,)
            Subtracted from the columns, and then their divisor.
        """
        X = np.concatenate(drawn.X).astype(np.float64)
        X -= centre
        X /= scale
        columns = drawn.y, drawn.weight, drawn.probability, drawn.parts
        return cls(X, *(np.concatenate(column) for column in columns))

    def block(self) -> DividedBlock:
        """Return the rows as a divided block."""
        row_numbers = np.arange(len(self.X))
        parts = tuple(np.repeat(row_numbers, counts.astype(np.intp)) for counts in self.times.T)
        return DividedBlock(self.X, self.y, self.weight, parts)


@dataclass(frozen=True)
class Tilted:
    """The objectives of some splits on rows in memory.

    All models, gradients and Hessians are for features in standard units.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features of the rows.
    label : ndarray of shape (n_rows,)
        Class numbers of the rows.
    weights : ndarray of shape (n_splits, n_rows)
        Training weight of each row in each split; the weights of a split add up to 1.
    packing : Packing
        Order of a model's parameters.
    """

    X: FloatArray
    label: NDArray[np.intp]
    weights: FloatArray
    packing: Packing

    @classmethod
    def of(cls, rows: PathRows, packing: Packing, splits: Splits) -> Tilted:
        """Return the objectives of splits on rows.

        Parameters
        ----------
        rows : PathRows
            The rows.
        packing : Packing
            Order of a model's parameters.
        splits : Splits
            The parts that each split trains on.
        """
        times = [rows.times[:, list(parts)].sum(axis=1) for parts in splits.train]
        weights = np.array(times) * rows.weight
        weights /= np.maximum(weights.sum(axis=1), np.finfo(float).tiny)[:, None]
        return cls(rows.X, rows.y.astype(np.intp), weights, packing)

    def gradient(self, models: FloatArray) -> FloatArray:
        """Return the gradients of the mean losses of models (n_splits, n_models, size)."""
        n, (outputs, width) = self.packing.n_features, self.packing.shape
        flat = models.reshape(-1, width)
        coef, constants = np.ascontiguousarray(flat[:, :n]), flat[:, n:]
        size = tile_rows(max(n, len(flat)))

        def of_piece(piece: slice) -> FloatArray:
            gradient = np.zeros(flat.shape)
            # By tiles, because both products read the rows: the second one from the cache.
            for tile in tiles(piece.stop - piece.start, size):
                rows = slice(piece.start + tile.start, piece.start + tile.stop)
                X = self.X[rows]
                raw = np.matmul(coef, X.T, out=scratch("raw", (len(flat), len(X))))
                if self.packing.fit_intercept:
                    raw += constants
                raw = raw.reshape(*models.shape[:2], outputs, len(X))
                residual = residuals(raw, self.label[rows], self.weights[:, rows])
                residual = residual.reshape(len(flat), -1)
                gradient[:, :n] += residual @ X
                if self.packing.fit_intercept:
                    gradient[:, n] += residual.sum(axis=1)
            return gradient

        n_tiles = max(-(-len(self.X) // size), 1)
        n_pieces = min(max(len(self.X) * flat.size // _WORK_OF_A_PIECE, 1), _MOST_PIECES, n_tiles)
        pieces = tiles(len(self.X), -(-n_tiles // n_pieces) * size)
        partials = call_in_threads(of_piece, pieces)
        return sum(partials[1:], partials[0]).reshape(models.shape)

    def hessian(self, weight: FloatArray, model: FloatArray, dtype: str = "float64") -> FloatArray:
        """Return the Hessian of the mean loss of one model.

        Parameters
        ----------
        weight : ndarray of shape (n_rows,)
            Weights of the rows; they add up to 1.
        model : ndarray of shape (size,)
            Parameters at which the Hessian is formed.
        dtype : {"float64", "float32"}
            Precision of the products of a tile.
        """
        loss = HalfBinomialLoss() if self.packing.n_outputs == 1 else HalfMultinomialLoss()
        block = Block(self.X, self.label.astype(np.float64), weight)
        kernel = LinearKernel(loss, self.packing, Order.HESSIAN, hessian_dtype=dtype)
        hessian = kernel(block, model).hessian
        assert hessian is not None
        return hessian
