"""The decision function of linear classifiers."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.loaded_values import check_coefficients
from dlbd_estimators.base.model import Model
from dlbd_estimators.base.prediction import decision, predict


class DecisionFunction(Model):
    """Mixin that adds ``decision_function`` to a linear classifier."""

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_coefficients(self)

    def decision_function(self, X: Any) -> Any:
        """Return raw predictions ``x_i W + b``: the class with the largest one is predicted.

        For two classes there is one column, and a value above 0 means ``classes_[1]``. For logistic
        regression the raw predictions are log-odds.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples,) or (n_samples, n_classes)
            Raw predictions; a lazy Dask array if X is lazy.
        """
        check_is_fitted(self)
        return predict(self, X, self._model(), decision, "decision-function")
