"""A network's loss and gradient over all rows of a block: what full-batch methods need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, tile_rows, tiles
from dlbd_estimators.kernels.network import Network, Workspace


@dataclass
class NetworkSums:
    """Sums over rows: weighted losses, their gradient, the weights, and the number of rows."""

    value: float
    gradient: FloatArray
    weight: float
    n_rows: int


@dataclass(frozen=True)
class NetworkKernel(Kernel[NetworkSums]):
    """Loss and gradient of one block, without the penalty; parameters are the flat vector.

    Parameters
    ----------
    network : Network
        Network to evaluate.
    """

    network: Network

    def __call__(self, block: Block, parameters: FloatArray) -> NetworkSums:
        layers, dtype = self.network.layers, block.X.dtype
        coefs, intercepts = layers.unpack(parameters.astype(dtype, copy=False))
        size = max(1, min(tile_rows(max(layers.units)), block.n_rows))
        workspace = Workspace(layers, size, dtype)
        value, gradient = 0.0, np.zeros(layers.size)
        y = block.y.astype(dtype, copy=False)
        weight = None if block.weight is None else block.weight.astype(dtype, copy=False)
        for rows in tiles(block.n_rows, size):
            tile = Block(block.X[rows], y[rows], None if weight is None else weight[rows])
            value += self.network.value_and_gradient(tile, coefs, intercepts, workspace)
            gradient += workspace.gradient
        total = block.n_rows if block.weight is None else float(block.weight.sum())
        return NetworkSums(value, gradient, total, block.n_rows)

    def combine(self, left: NetworkSums, right: NetworkSums) -> NetworkSums:
        left.gradient += right.gradient
        return NetworkSums(
            left.value + right.value,
            left.gradient,
            left.weight + right.weight,
            left.n_rows + right.n_rows,
        )

    def is_finite(self, partial: NetworkSums) -> bool:
        return bool(np.isfinite(partial.value) and np.isfinite(partial.gradient).all())
