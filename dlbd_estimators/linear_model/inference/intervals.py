"""Intervals around the predictions of a least-squares fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import tile_rows, tiles
from dlbd_estimators.kernels.predictors import Predictor


@dataclass(frozen=True)
class IntervalPredictor(Predictor):
    """Returns for each row the prediction and the two ends of its interval, in float64.

    Parameters
    ----------
    coef, centre : ndarray of shape (n_features,)
        Coefficients, and the centre that is subtracted from the features.
    level : float
        Prediction at the centre.
    covariance : ndarray of shape (n_parameters, n_parameters)
        Covariance of the coefficients and, last, of the level.
    noise : float
        Variance of the error of a new row; 0 for intervals of the mean of many rows.
    reach : float
        Half the width of the interval, in standard errors of the prediction.
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
        # Always float64: in float32, leverages of columns far from zero would lose all digits.
        return self

    def __call__(self, X: FloatArray) -> FloatArray:
        result = np.empty((len(X), 3))
        width = len(self.covariance)
        for rows in tiles(len(X), tile_rows(width)):
            Z = np.ones((len(X[rows]), width))
            Z[:, : X.shape[1]] = X[rows]
            Z[:, : X.shape[1]] -= self.centre
            predicted = Z[:, : X.shape[1]] @ self.coef + self.level
            variance = np.einsum("ij,ij->i", Z @ self.covariance, Z) + self.noise
            half = self.reach * np.sqrt(np.maximum(variance, 0.0))
            result[rows] = np.column_stack([predicted, predicted - half, predicted + half])
        return result
