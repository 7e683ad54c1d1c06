"""The raw predictions of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import tile_rows, tiles
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.predictors import Predictor


@dataclass(frozen=True)
class NetworkPredictor(Predictor):
    """A trained network.

    Parameters
    ----------
    network : Network
        Shapes and activation.
    parameters : ndarray of shape (size,)
        The flat vector of parameters.
    """

    network: Network
    parameters: FloatArray

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parameters.dtype

    def astype(self, dtype: Any) -> NetworkPredictor:
        return NetworkPredictor(self.network, self.parameters.astype(dtype, copy=False))

    def __call__(self, X: FloatArray) -> FloatArray:
        # In tiles: hidden layers may be much wider than the rows.
        units = self.network.layers.units
        size = min(tile_rows(max(units)), max(len(X), 1))
        coefs, intercepts = self.network.layers.unpack(self.parameters)
        outputs = [np.empty((size, width), self.dtype) for width in units[1:]]
        raw = np.empty((len(X), units[-1]), self.dtype)
        for rows in tiles(len(X), size):
            tile_outputs = [output[: rows.stop - rows.start] for output in outputs]
            raw[rows] = self.network.raw(X[rows], coefs, intercepts, tile_outputs)
        return raw
