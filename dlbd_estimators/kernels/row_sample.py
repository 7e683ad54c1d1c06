"""Some rows of a block, drawn by chance: each has a weight by which it stands for those left out.

The numbers that decide come from what the block holds. They are the same on any machine, and other
ones in the next block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear import centred_tile
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, multiplicity

#: Of the features and the labels of a block, that seed its random numbers.
_SEEDING_NBYTES = 2**16


@dataclass(frozen=True)
class Chances:
    """What a row's chance to be drawn follows from.

    It is ``rate[label] * weight``, for ``importance`` times the root of the row's curvature and of
    its leverage; 1 where that is more.

    Attributes
    ----------
    rate : ndarray of shape (n_classes,)
        Infinite takes all rows.
    centre : ndarray of shape (n_features,) or None
        Subtracted from the features.
    model : ndarray of shape (packing.size,) or None
        The classifier that gives curvatures; None is a chance without importance.
    projection : ndarray of shape (n_features + 1, n_directions) or None
        The mean square of ``[x, 1] @ projection`` estimates the leverage of a row.
    """

    rate: FloatArray
    centre: FloatArray | None = None
    model: FloatArray | None = None
    projection: FloatArray | None = None


@dataclass
class DrawnRows:
    """Rows that were drawn, of each block in turn.

    Attributes
    ----------
    X, y : list of ndarray
        Features and labels.
    weight : list of ndarray
        Sample weights, divided by the chance to be drawn.
    parts : list of ndarray of shape (n_rows, n_parts)
        How often a row stands in each part.
    """

    X: list[FloatArray]
    y: list[FloatArray]
    weight: list[FloatArray]
    parts: list[FloatArray]


@dataclass(frozen=True)
class RowSampleKernel(Kernel[DrawnRows]):
    """Draw rows of one block; it is called with :class:`Chances`.

    Parameters
    ----------
    packing : Packing
        Order of the classifier's parameters.
    n_parts : int
        Of divided blocks.
    """

    packing: Packing
    n_parts: int = field(default=0)

    def __call__(self, block: Block, parameters: Chances) -> DrawnRows:
        assert isinstance(block, DividedBlock)
        weight = np.ones(block.n_rows) if block.weight is None else block.weight
        rate = parameters.rate[block.y.astype(np.intp)]
        if np.isinf(parameters.rate).all():
            kept, chance = np.arange(block.n_rows), np.ones(block.n_rows)
        else:
            chance = np.minimum(rate * weight * self._importance(block, parameters), 1.0)
            kept = np.flatnonzero(_random(block) < chance)
        times = multiplicity(block, self.n_parts)[kept]
        # A copy, or the whole block would stay in memory for them.
        return DrawnRows([block.X[kept]], [block.y[kept]], [weight[kept] / chance[kept]], [times])

    def _importance(self, block: Block, chances: Chances) -> FloatArray:
        """Return the root of each row's curvature and leverage, or ones."""
        importance = np.ones(block.n_rows)
        if chances.model is None or chances.projection is None:
            return importance
        n = self.packing.n_features
        size = tile_rows(n)
        wide = scratch("wide", (min(size, block.n_rows), n))
        for tile in tiles(block.n_rows, size):
            X = centred_tile(block.X[tile], chances.centre, wide)
            importance[tile] = importance_of(X, self.packing, chances.model, chances.projection)
        return importance

    def combine(self, left: DrawnRows, right: DrawnRows) -> DrawnRows:
        left.X += right.X
        left.y += right.y
        left.weight += right.weight
        left.parts += right.parts
        return left

    def is_finite(self, partial: DrawnRows) -> bool:
        return all(bool(np.isfinite(each).all()) for each in partial.X)


def importance_of(
    X: FloatArray, packing: Packing, model: FloatArray, projection: FloatArray
) -> FloatArray:
    """Return the root of curvature times leverage of each row.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Centred as the others expect.
    packing, model, projection : Packing, ndarray, ndarray
        As of :class:`RowSampleKernel` and :class:`Chances`.
    """
    spread = X @ projection[:-1] + projection[-1]
    curvature = curvature_of(X, packing, model)
    return np.asarray(np.sqrt(curvature * np.square(spread).mean(axis=1)))


def curvature_of(X: FloatArray, packing: Packing, model: FloatArray) -> FloatArray:
    """Return the sum of ``q (1 - q)`` over the probabilities q of each row.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Centred as the model expects.
    packing, model : Packing, ndarray
        A classifier.
    """
    coef, intercept = packing.unpack(model)
    raw = np.asarray(X @ coef.T + intercept)
    if packing.n_outputs == 1:
        decay = np.exp(-np.abs(raw[:, 0]))
        return np.asarray(decay / (1.0 + decay) ** 2)
    raw -= raw.max(axis=1, keepdims=True)
    np.exp(raw, out=raw)
    raw /= raw.sum(axis=1, keepdims=True)
    return np.asarray((raw * (1.0 - raw)).sum(axis=1))


def _random(block: Block) -> FloatArray:
    """Return random numbers from 0 to 1, one a row, that follow from what the block holds."""
    row = max(block.X.itemsize * block.X.shape[1], 1)
    head = np.ascontiguousarray(block.X[: max(_SEEDING_NBYTES // row, 1)])
    labels = np.ascontiguousarray(block.y[: _SEEDING_NBYTES // block.y.itemsize])
    seed = crc32(labels.data.cast("B"), crc32(head.data.cast("B"))) if block.n_rows else 0
    return np.random.default_rng(seed).random(block.n_rows)
