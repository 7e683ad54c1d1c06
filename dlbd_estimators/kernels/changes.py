"""How far a step moves the predictions of a linear model: the largest change of any row's.

With ``u_i = V z_i`` the change of a row's raw predictions along a step ``V`` it is ``max |u_i|``.
Of coupled outputs only differences steer the curvature: then it is ``max_i (max u_i - min u_i)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear import centred_tile, raw_predictions
from dlbd_estimators.kernels.packing import Packing


@dataclass
class LargestChange:
    """What a pass of :class:`LargestChangeKernel` brings back: a maximum rather than a sum.

    Attributes
    ----------
    change : float
        Zero where no row weighs anything.
    """

    change: float


@dataclass(frozen=True)
class LargestChangeKernel(Kernel[LargestChange]):
    """The largest change of a prediction of one block along a step; rows of no weight aside.

    It is called with the step, in the packed order.

    Parameters
    ----------
    packing : Packing
        Order of the parameters.
    coupled : bool
        Only differences of outputs matter.
    centre : ndarray of shape (n_features,) or None
        The step is one for features centred by this; None is the origin.
    """

    packing: Packing
    coupled: bool
    centre: FloatArray | None = field(default=None, repr=False)

    def __call__(self, block: Block, parameters: FloatArray) -> LargestChange:
        packing = self.packing
        coef, intercept = packing.unpack(parameters)
        size = tile_rows(max(packing.n_features, packing.n_outputs), products=False)
        wide = scratch("wide", (min(size, block.n_rows), packing.n_features))
        largest = np.float64(0.0)
        for rows in tiles(block.n_rows, size):
            change = raw_predictions(
                centred_tile(block.X[rows], self.centre, wide), coef, intercept
            )
            if block.weight is not None:
                change = change[block.weight[rows] > 0]
            if len(change):
                each = np.ptp(change, axis=1) if self.coupled else np.abs(change)
                # Python's max would drop a NaN.
                largest = np.maximum(largest, each.max())
        return LargestChange(float(largest))

    def combine(self, left: LargestChange, right: LargestChange) -> LargestChange:
        left.change = float(np.maximum(left.change, right.change))
        return left

    def is_finite(self, partial: LargestChange) -> bool:
        return bool(np.isfinite(partial.change))
