"""Intervals around the predictions of a least-squares fit, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import tile_rows, tiles
from dlbd_estimators.kernels.predictors import Predictor


@dataclass(frozen=True)
class IntervalPredictor(Predictor):
    """Gives of each row the prediction and the two ends of its interval, in float64.

    Parameters
    ----------
    coef, centre : ndarray of shape (n_features,)
        The model, for features less a centre.
    level : float
        Its prediction at the centre.
    covariance : ndarray of shape (n_parameters, n_parameters)
        Of coefficients and level.
    noise : float
        Variance of the error of a new row; 0 is for the mean of many of them.
    reach : float
        Half the interval, in standard errors of the prediction.
    """

    coef: FloatArray
    centre: FloatArray
    level: float
    covariance: FloatArray
    noise: float
    reach: float

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    def astype(self, dtype: Any) -> IntervalPredictor:
        # Leverages of columns far from zero have no digits to spare, whatever X is stored in.
        return self

    def __call__(self, X: FloatArray) -> FloatArray:
        found = np.empty((len(X), 3))
        width = len(self.covariance)
        for rows in tiles(len(X), tile_rows(width)):
            Z = np.ones((len(X[rows]), width))
            Z[:, : X.shape[1]] = X[rows]
            Z[:, : X.shape[1]] -= self.centre
            predicted = Z[:, : X.shape[1]] @ self.coef + self.level
            variance = np.einsum("ij,ij->i", Z @ self.covariance, Z) + self.noise
            half = self.reach * np.sqrt(np.maximum(variance, 0.0))
            found[rows] = np.column_stack([predicted, predicted - half, predicted + half])
        return found
