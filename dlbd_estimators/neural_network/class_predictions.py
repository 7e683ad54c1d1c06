"""What a fitted perceptron says of classes and labels."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.prediction import (
    Labels,
    label_log_probabilities,
    label_matrix,
    label_probabilities,
    log_probabilities,
    probabilities,
    score,
)
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.kernels.scores import Errors, OtherClass, WrongClass, WrongLabels
from dlbd_estimators.neural_network.perceptron import BaseMLP


class ClassPredictions(ClassifierMixin, BaseMLP):
    """Classes, labels, their probabilities and the accuracy, from a network's raw predictions."""

    classes_: Any

    def predict(self, X: Any) -> Any:
        """Predict classes, or labels.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples,) or (n_samples, n_labels)
            Out of ``classes_``, or 0 and 1; lazy where X is lazy.
        """
        check_is_fitted(self)
        finish = label_matrix if self._has_labels else Labels(self.classes_)
        return self._predict(X, finish, "predict")

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_classes)
            Columns in the order of ``classes_``; lazy where X is lazy.
        """
        check_is_fitted(self)
        finish = label_probabilities if self._has_labels else probabilities
        return self._predict(X, finish, "predict-proba")

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of :meth:`predict_proba`, where no probability underflows.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_classes)
            Lazy where X is lazy.
        """
        check_is_fitted(self)
        finish = label_log_probabilities if self._has_labels else log_probabilities
        return self._predict(X, finish, "predict-log-proba")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, a float also for lazy data; of labels, all of a row must be right.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            return float(super().score(X, y, sample_weight))
        labels = self._has_labels
        encoding = Encoding(labels=True) if labels else Encoding(self.classes_, unknown=True)
        errors: Errors = OtherClass() if len(self.classes_) == 1 else WrongClass()
        errors, model = WrongLabels() if labels else errors, self._model()
        return score(
            self, X, y, sample_weight, model, errors, encoding, classify=True, multi_label=True
        )

    @property
    def _has_labels(self) -> bool:
        return bool(self.out_activation_ == "logistic" and self.n_outputs_ > 1)
