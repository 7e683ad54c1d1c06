"""Predictions and the score of a fitted regressor."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.model import Model
from dlbd_estimators.base.prediction import Finish, predict, score
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.kernels.scores import SquaredErrors


class NumberPredictions(RegressorMixin, Model):
    """Base of regressors: predicts targets, and computes R^2, from raw predictions."""

    @abstractmethod
    def _finish(self) -> Finish:
        """Return the function that converts raw predictions to predictions."""

    def _errors(self) -> SquaredErrors:
        """Return the errors of raw predictions that the score sums."""
        return SquaredErrors()

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.

        Returns
        -------
        ndarray, Dask array or DataArray of shape (n_samples,) or (n_samples, n_targets)
            Predicted targets; a lazy Dask array if X is lazy.
            For xarray objects it is a DataArray with the coordinates of the samples.
        """
        check_is_fitted(self)
        return predict(self, X, self._model(), self._finish(), "predict")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, a float also for lazy data.

        ``R^2 = 1 - sum s (y - prediction)^2 / sum s (y - mean)^2``, averaged over targets.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            True targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        float
            1 for perfect predictions, 0 if the mean of y would be as good, NaN for a single row.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            return float(super().score(X, y, sample_weight))
        model, errors = self._model(), self._errors()
        return score(self, X, y, sample_weight, model, errors, Encoding(), classify=False)
