"""The total weight of rows, from a pass that also looks for NaN and infinity in the features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles


@dataclass(frozen=True)
class FiniteRowsKernel(Kernel[float]):
    """Total weight of the rows of a block; NaN if a feature is NaN or infinite."""

    def __call__(self, block: Block, parameters: None = None) -> float:
        for rows in tiles(block.n_rows, tile_rows(block.X.shape[1], products=False)):
            if not np.isfinite(block.X[rows]).all():
                return math.nan
        return float(block.n_rows) if block.weight is None else float(block.weight.sum())

    def combine(self, left: float, right: float) -> float:
        return left + right

    def is_finite(self, partial: float) -> bool:
        return math.isfinite(partial)
