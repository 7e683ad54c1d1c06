"""The largest change of any raw prediction of a linear model along a step.

A step ``V`` changes the raw predictions of row i by ``u_i = V z_i``; the result is ``max |u_i|``.
If outputs are coupled, the curvature depends only on differences between the outputs of a row:
the result is then ``max_i (max u_i - min u_i)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.kernel import Block, Kernel, tiles
from dlbd_estimators.kernels.linear import raw_predictions
from dlbd_estimators.kernels.linear_tiles import Tiles
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sparse_rows import is_sparse


@dataclass
class LargestChange:
    """Result of a pass of :class:`LargestChangeKernel`: a maximum rather than a sum.

    Attributes
    ----------
    change : float
        The largest change; zero if no row has a positive weight.
    """

    change: float


@dataclass(frozen=True)
class LargestChangeKernel(Kernel[LargestChange]):
    """The largest change of a prediction in one block along a step, without rows of zero weight.

    The parameters of the pass are the step, in the packed order.

    Parameters
    ----------
    packing : Packing
        Order of the parameters.
    coupled : bool
        Whether only differences between outputs matter.
    centre : ndarray of shape (n_features,) or None
        The step is for features centred by this; None means the origin.
    """

    packing: Packing
    coupled: bool
    centre: FloatArray | None = field(default=None, repr=False)

    def __call__(self, block: Block, parameters: FloatArray) -> LargestChange:
        packing = self.packing
        coef, intercept = packing.unpack(parameters)
        tile = Tiles(block, packing, Order.GRADIENT, self.centre, sparse=is_sparse(block.X))
        largest = np.float64(0.0)
        for rows in tiles(block.n_rows, tile.size):
            _, X = tile(rows)
            change = raw_predictions(X, coef, intercept)
            if block.weight is not None:
                change = change[block.weight[rows] > 0]
            if len(change):
                sizes = np.ptp(change, axis=1) if self.coupled else np.abs(change)
                # Python's max would drop a NaN.
                largest = np.maximum(largest, sizes.max())
        return LargestChange(float(largest))

    def combine(self, left: LargestChange, right: LargestChange) -> LargestChange:
        left.change = float(np.maximum(left.change, right.change))
        return left

    def is_finite(self, partial: LargestChange) -> bool:
        return bool(np.isfinite(partial.change))
