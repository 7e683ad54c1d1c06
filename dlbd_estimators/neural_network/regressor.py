"""Perceptrons that predict numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from dlbd_estimators.base.number_predictions import NumberPredictions
from dlbd_estimators.base.parameters import check_choice
from dlbd_estimators.base.prediction import Finish
from dlbd_estimators.base.user_warnings import warn_of_column_vector
from dlbd_estimators.base.validation import Data, training_data
from dlbd_estimators.base.xarray_input import accepts_xarray
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.scores import SquaredErrors
from dlbd_estimators.neural_network.parameters import has_batches
from dlbd_estimators.neural_network.perceptron import BaseMLP
from dlbd_estimators.neural_network.shared_parameters import with_shared_parameters
from dlbd_estimators.neural_network.sklearn_counterparts import REGRESSOR
from dlbd_estimators.neural_network.targets import NUMBERS, TargetSpec


@with_shared_parameters
class MLPRegressor(NumberPredictions, BaseMLP):
    """Multi-layer perceptron that predicts one or several numbers per row.

    Minimises ``sum_i s_i loss_i / S + alpha ||W||^2 / (2 S)`` over mini-batches, where ``s_i`` is
    the weight of row i and ``S`` the total weight of the batch. The loss is half the squared
    error, averaged over the targets, or half the Poisson deviance, summed over them. With one
    target, rows in memory are trained on as in scikit-learn's MLPRegressor, step by step. With
    several targets, scikit-learn multiplies the gradient of the squared error by their number
    (scikit-learn issue 8349); this class does not. Lazy data are read block by block.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        ``"poisson"`` predicts the exponential of the network's output, and needs ``y >= 0``.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import MLPRegressor
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> bent = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0)
    >>> bent.fit(X, np.abs(X[:, 0])).score(X, np.abs(X[:, 0])) > 0.99
    True
    """

    _sklearn_counterpart = REGRESSOR

    def __init__(self, loss: str = "squared_error", *network: Any, **more: Any) -> None:
        super().__init__(*network, **more)
        self.loss = loss

    @available_if(has_batches)
    @accepts_xarray
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one more epoch on the given rows. Callbacks are not called.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets, as in :meth:`fit`.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        ValueError
            ``early_stopping`` is True, X, y or sample_weight holds NaN or infinity, lengths differ,
            y is out of range for the loss, or a parameter is out of range.
        Diverged
            The loss or a parameter is no longer finite. The attributes are left as they were.
        MemoryError
            The buffer, or a sparse X once it is dense, does not fit in memory; raised before
            training.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _finish(self) -> Finish:
        return _Numbers(self.out_activation_ == "exp")

    def _errors(self) -> SquaredErrors:
        return SquaredErrors(np.exp if self.out_activation_ == "exp" else None)

    def _data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        check_choice(self, "loss", tuple(NUMBERS))
        if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 and not is_lazy(y):
            warn_of_column_vector(y)
            y = column_or_1d(y)
        return training_data(self, X, y, sample_weight, classify=False, reset=reset)

    def _targets(
        self, executor: Executor, data: Data, *, fresh: bool, incremental: bool, classes: Any
    ) -> TargetSpec:
        return replace(NUMBERS[self.loss], n_outputs=data.y_shape[0] if data.y_shape else 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Numbers:
    """Converts raw predictions to numbers; a class, so that tasks can pickle it."""

    def __init__(self, exponential: bool) -> None:
        self._exponential = exponential

    def __dask_tokenize__(self) -> tuple[str, bool]:
        return type(self).__name__, self._exponential

    def __call__(self, raw: FloatArray) -> FloatArray:
        numbers = np.exp(raw) if self._exponential else raw
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers
