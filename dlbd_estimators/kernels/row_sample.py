"""A random sample of the rows of a block, with weights that account for the rows left out.

The random numbers are seeded by the content of the block. They are the same on any machine, and
differ from block to block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear_tiles import centred_tile, repeated
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, multiplicity

#: Bytes of the features, and of the labels, of a block that seed its random numbers.
_SEEDING_NBYTES = 2**16


@dataclass(frozen=True)
class SamplingRates:
    """The numbers from which the probability to draw a row is computed.

    It is ``rate[label] * weight``. With ``model`` and ``projection``, this is multiplied by the
    square root of the row's curvature times its leverage. It is at most 1.

    Attributes
    ----------
    rate : ndarray of shape (n_classes,)
        Rate of each class; infinite rates draw all rows.
    centre : ndarray of shape (n_features,) or None
        Subtracted from the features.
    model : ndarray of shape (packing.size,) or None
        Classifier from which curvatures are computed; None means equally important rows.
    projection : ndarray of shape (n_features + 1, n_directions) or None
        The mean square of ``[x, 1] @ projection`` estimates the leverage of a row.
    """

    rate: FloatArray
    centre: FloatArray | None = None
    model: FloatArray | None = None
    projection: FloatArray | None = None


@dataclass
class DrawnRows:
    """Rows that were drawn: lists with one array per block.

    Attributes
    ----------
    X, y : list of ndarray
        Features and labels.
    weight : list of ndarray
        Sample weights, divided by the probability to draw the row.
    probability : list of ndarray
        Probability to draw the row.
    parts : list of ndarray of shape (n_rows, n_parts)
        How often a row occurs in each part.
    """

    X: list[FloatArray]
    y: list[FloatArray]
    weight: list[FloatArray]
    probability: list[FloatArray]
    parts: list[FloatArray]


@dataclass(frozen=True)
class RowSampleKernel(Kernel[DrawnRows]):
    """Draws rows of one block; the parameters of the pass are :class:`SamplingRates`.

    Parameters
    ----------
    packing : Packing
        Order of the classifier's parameters.
    n_parts : int
        Number of parts of the divided blocks.
    """

    packing: Packing
    n_parts: int = field(default=0)

    def __call__(self, block: Block, parameters: SamplingRates) -> DrawnRows:
        assert isinstance(block, DividedBlock)
        weight = np.ones(block.n_rows) if block.weight is None else block.weight
        rate = parameters.rate[block.y.astype(np.intp)]
        if np.isinf(parameters.rate).all():
            kept, probability = np.arange(block.n_rows), np.ones(block.n_rows)
        else:
            probability = np.minimum(rate * weight * self._importance(block, parameters), 1.0)
            kept = np.flatnonzero(_random(block) < probability)
        times = multiplicity(block, self.n_parts)[:, kept].T
        weight, probability = weight[kept], probability[kept]
        # A copy: views of the rows would keep the whole block in memory.
        X, y = block.X[kept], block.y[kept]
        return DrawnRows([X], [y], [weight / probability], [probability], [times])

    def _importance(self, block: Block, rates: SamplingRates) -> FloatArray:
        """Return the square root of each row's curvature times leverage; ones without a model."""
        importance = np.ones(block.n_rows)
        if rates.model is None or rates.projection is None:
            return importance
        n = self.packing.n_features
        size = tile_rows(n)
        wide, centre = scratch("wide", (min(size, block.n_rows), n)), repeated(rates.centre)
        for tile in tiles(block.n_rows, size):
            X = centred_tile(block.X[tile], centre, wide)
            importance[tile] = importance_of(X, self.packing, rates.model, rates.projection)
        return importance

    def combine(self, left: DrawnRows, right: DrawnRows) -> DrawnRows:
        left.X += right.X
        left.y += right.y
        left.weight += right.weight
        left.probability += right.probability
        left.parts += right.parts
        return left

    def is_finite(self, partial: DrawnRows) -> bool:
        return all(bool(np.isfinite(features).all()) for features in partial.X)


def importance_of(
    X: FloatArray, packing: Packing, model: FloatArray, projection: FloatArray
) -> FloatArray:
    """Return the square root of curvature times leverage of each row.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features, centred as the model and the projection expect.
    packing, model, projection : Packing, ndarray, ndarray
        See :class:`RowSampleKernel` and :class:`SamplingRates`.
    """
    spread = X @ projection[:-1] + projection[-1]
    curvature = curvature_of(X, packing, model)
    return np.asarray(np.sqrt(curvature * np.square(spread).mean(axis=1)))


def curvature_of(X: FloatArray, packing: Packing, model: FloatArray) -> FloatArray:
    """Return the sum of ``q (1 - q)`` over the probabilities q of each row.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features, centred as the model expects.
    packing, model : Packing, ndarray
        A classifier: the order of its parameters, and the parameters.
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
    """Return one random number in [0, 1) per row, seeded by the content of the block."""
    row = max(block.X.itemsize * block.X.shape[1], 1)
    head = np.ascontiguousarray(block.X[: max(_SEEDING_NBYTES // row, 1)])
    labels = np.ascontiguousarray(block.y[: _SEEDING_NBYTES // block.y.itemsize])
    seed = crc32(labels.data.cast("B"), crc32(head.data.cast("B"))) if block.n_rows else 0
    return np.random.default_rng(seed).random(block.n_rows)
