"""Predictions: eager on arrays in memory, lazy on Dask collections, scores in one pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.lazy_predictions import predictions
from dlbd_estimators.base.sparse_input import features_in_memory
from dlbd_estimators.base.validation import lazy_features, training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.checks import CheckedFunction, sparse_features
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.predictors import Predictor
from dlbd_estimators.kernels.scores import Errors, ScoreKernel, ScoreSums
from dlbd_estimators.kernels.sparse_rows import first_non_finite

#: Converts raw predictions (n_rows, n_outputs) to the result of a method.
Finish = Callable[[FloatArray], NDArray[Any]]


def predict(
    estimator: Any,
    X: Any,
    model: Predictor,
    finish: Finish,
    method: str,
) -> Any:
    """Apply a fitted model to X: eagerly in memory, lazily on Dask collections.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    X : array-like, Dask collection or Zarr array
        Features.
    model : Predictor
        Computes raw predictions.
    finish : callable
        Converts raw predictions to the result of the method, row by row.
    method : str
        Name of the method, part of the names of tasks.

    Returns
    -------
    ndarray or dask.array.Array
        The result; floats have type float32 if the features do.
    """
    check_is_fitted(estimator)
    if not is_lazy(X):
        return _predict_block(features_in_memory(estimator, X, reset=False), model, finish)
    array = lazy_features(estimator, X, reset=False)
    like = np.zeros((1, array.shape[1]), dtype=array.dtype)
    sample = _predict_block(like, model, finish)
    name = f"{type(estimator).__name__.lower()}-{method}"
    lazy = da.blockwise(
        CheckedFunction(partial(_predict_block, model=model, finish=finish), array),
        (0, 2)[: sample.ndim],
        array,
        (0, 1),
        new_axes={} if sample.ndim == 1 else {2: sample.shape[1]},
        name=f"{name}-{da.core.tokenize(array.name, model, finish)}",
        dtype=sample.dtype,
        meta=sample[:0],
    )
    return predictions(lazy)


def _predict_block(X: Any, model: Predictor, finish: Finish) -> NDArray[Any]:
    if scipy.sparse.issparse(X):
        X = sparse_features(X, "a block")
        raw = model.astype(X.dtype)(X.matrix)
    else:
        dtype = np.float32 if X.dtype == np.float32 else np.float64
        raw = model.astype(dtype)(X.astype(dtype, copy=False))
    if not np.isfinite(raw).all():
        bad = first_non_finite(X)
        if bad is not None:
            raise ValueError(
                f"Input X contains NaN or infinity at row {bad[0]} of the block, column {bad[1]}."
            )
    return finish(raw)


class Labels:
    """Converts raw predictions to class labels; it is a class so that tasks can pickle it."""

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        # Models can have the same coefficients but different classes.
        return type(self).__name__, self.classes

    def __call__(self, raw: FloatArray) -> NDArray[Any]:
        if len(self.classes) == 1:
            index = np.zeros(len(raw), dtype=np.intp)
        else:
            index = (raw[:, 0] > 0).astype(np.intp) if raw.shape[1] == 1 else raw.argmax(axis=1)
        return np.asarray(self.classes[index])


def decision(raw: FloatArray) -> FloatArray:
    """Return raw predictions; for two classes, a vector of those of the second class."""
    return raw[:, 0] if raw.shape[1] == 1 else raw


def log_probabilities(raw: FloatArray) -> FloatArray:
    """Return the logarithm of the softmax, also where the softmax itself underflows to 0."""
    if raw.shape[1] == 1:
        raw = np.hstack([np.zeros_like(raw), raw])
    shifted = raw - raw.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def probabilities(raw: FloatArray) -> FloatArray:
    """Return the softmax of raw predictions."""
    return np.asarray(np.exp(log_probabilities(raw)))


def label_matrix(raw: FloatArray) -> NDArray[np.int64]:
    """Return labels, each 0 or 1, from raw predictions that are log-odds."""
    return (raw > 0).astype(np.int64)


def label_probabilities(raw: FloatArray) -> FloatArray:
    """Return each label's probability."""
    return np.asarray(expit(raw))


def label_log_probabilities(raw: FloatArray) -> FloatArray:
    """Return the logarithm of each label's probability, also where that underflows to 0."""
    return np.asarray(log_expit(raw))


def score(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    model: Predictor,
    errors: Errors,
    encoding: Encoding,
    *,
    classify: bool,
    multi_label: bool = False,
) -> float:
    """Score a fitted model on lazy data, in one pass.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator. X must have its features; tasks are named after its class.
    X : Dask collection or Zarr array
        Features.
    y, sample_weight : array-like, Dask collection or Zarr array
        Targets, and weights or None.
    model : Predictor
        Computes raw predictions.
    errors : Errors
        The errors that are summed.
    encoding : Encoding
        Converts the targets to those that ``errors`` expects.
    classify, multi_label : bool
        Passed to :func:`dlbd_estimators.base.validation.training_data`.

    Returns
    -------
    float
        The accuracy (the weighted fraction of correct rows) if ``classify``, else the coefficient
        of determination.

    Warns
    -----
    UndefinedMetricWarning
        There are fewer than two rows, so that the coefficient of determination is NaN.
    """
    # X and y are prepared together, because Dask would optimise separate graphs independently.
    data = training_data(
        estimator, X, y, sample_weight, classify=classify, multi_label=multi_label, reset=False
    )
    blocks = data.blocks.encoded(encoding)
    name = f"{type(estimator).__name__.lower()}-score"
    with executor_for(blocks) as executor:
        sums = executor.map_reduce(ScoreKernel(errors), model, blocks, name=name).partial
    if classify:
        return 1.0 - float(sums.squared_errors[0]) / sums.weight
    if sums.n_rows < 2:
        return float(r2_score([0.0], [0.0]))  # NaN, with scikit-learn's warning
    return determination(sums)


def determination(sums: ScoreSums) -> float:
    """Return the coefficient of determination, averaged over targets."""
    ratio = np.divide(
        sums.squared_errors,
        sums.deviations,
        out=np.where(sums.squared_errors > 0, 1.0, 0.0),
        where=sums.deviations > 0,
    )
    return float(np.mean(1.0 - ratio))
