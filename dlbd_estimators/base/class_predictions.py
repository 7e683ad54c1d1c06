"""Predictions of a fitted classifier: classes, or several labels per row."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.model import Model
from dlbd_estimators.base.prediction import (
    Labels,
    label_log_probabilities,
    label_matrix,
    label_probabilities,
    log_probabilities,
    predict,
    probabilities,
    score,
)
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.kernels.scores import Errors, OtherClass, WrongClass, WrongLabels


class ClassLabels(ClassifierMixin, Model):
    """Base of classifiers: predicts classes, and computes the accuracy, from raw predictions."""

    classes_: Any
    #: Whether estimators of this class accept several labels per row.
    _multi_label = False

    @property
    def _has_labels(self) -> bool:
        """Whether the estimator was fitted to several labels per row."""
        return False

    def predict(self, X: Any) -> Any:
        """Predict classes, or labels if the estimator was fitted to several labels per row.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.

        Returns
        -------
        ndarray, Dask array or DataArray of shape (n_samples,) or (n_samples, n_labels)
            Classes from ``classes_``, or 0 and 1 for each label; a lazy Dask array if X is lazy.
            For xarray objects it is a DataArray with the coordinates of the samples.
        """
        check_is_fitted(self)
        finish = label_matrix if self._has_labels else Labels(self.classes_)
        return predict(self, X, self._model(), finish, "predict")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the weighted fraction of rows whose labels are all correct.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
            True classes or labels.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        float
            The accuracy. It is computed immediately, also if the data are lazy.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            return float(super().score(X, y, sample_weight))
        errors: Errors = OtherClass() if len(self.classes_) == 1 else WrongClass()
        encoding = Encoding(self.classes_, unknown=True)
        if self._has_labels:
            errors, encoding = WrongLabels(), Encoding(labels=True)
        return score(
            self,
            X,
            y,
            sample_weight,
            self._model(),
            errors,
            encoding,
            classify=True,
            multi_label=self._multi_label,
        )


class ClassPredictions(ClassLabels):
    """Base of classifiers that predict the probabilities of classes, too."""

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.

        Returns
        -------
        ndarray, Dask array or DataArray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``; a lazy Dask array if X is lazy.
            For xarray objects it is a DataArray with the coordinates of the samples.
        """
        check_is_fitted(self)
        finish = label_probabilities if self._has_labels else probabilities
        return predict(self, X, self._model(), finish, "predict-proba")

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of each probability, also of probabilities too small for a float.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.

        Returns
        -------
        ndarray, Dask array or DataArray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``; a lazy Dask array if X is lazy.
            For xarray objects it is a DataArray with the coordinates of the samples.
        """
        check_is_fitted(self)
        finish = label_log_probabilities if self._has_labels else log_probabilities
        return predict(self, X, self._model(), finish, "predict-log-proba")
