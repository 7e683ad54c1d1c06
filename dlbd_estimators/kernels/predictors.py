"""Fitted models as functions from features to raw predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray


class Predictor(ABC):
    """A picklable model that returns raw predictions, computed for each row independently."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Precision of the parameters."""

    @abstractmethod
    def astype(self, dtype: Any) -> Predictor:
        """Return the model in another precision."""

    @abstractmethod
    def __call__(self, X: FloatArray) -> FloatArray:
        """Return raw predictions of shape (n_rows, n_outputs), in the precision of X.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Features, of the model's own dtype.
        """


@dataclass(frozen=True)
class LinearPredictor(Predictor):
    """``X @ coef.T + intercept``.

    Parameters
    ----------
    coef, intercept : ndarray of shapes (n_outputs, n_features), (n_outputs,)
        Coefficients and intercepts of the model.
    """

    coef: FloatArray
    intercept: FloatArray

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.coef.dtype

    def astype(self, dtype: Any) -> LinearPredictor:
        return LinearPredictor(self.coef.astype(dtype), self.intercept.astype(dtype))

    def __call__(self, X: FloatArray) -> FloatArray:
        return np.asarray(X @ self.coef.T + self.intercept)
