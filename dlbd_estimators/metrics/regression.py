"""Metrics of predicted numbers, from one pass: sums of errors and variances of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import metrics

from dlbd_estimators.base.documentation import documented_like
from dlbd_estimators.base.xarray_input import accepts_xarray_rows
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.metrics.error_sums import Errors, ErrorSums, PoissonSums
from dlbd_estimators.metrics.one_pass import any_lazy, check_total, one_pass

_AVERAGES = ("raw_values", "uniform_average", "variance_weighted")


@accepts_xarray_rows
def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return ``sum_i s_i (y_i - prediction_i)^2 / sum_i s_i``.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        True numbers.
    y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        Predicted numbers.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_outputs,)
        How the errors of several outputs are combined: not at all, by their mean (the default),
        or by their mean with the given weights.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        The error, in the square of the unit of the targets.

    Raises
    ------
    ValueError
        Lengths or numbers of outputs differ, a value is not finite, a weight is negative, or
        ``multioutput`` does not fit the number of outputs.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import mean_squared_error
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> mean_squared_error(y_true, [2.5, 1.0, 2.0, 8.0])
    0.3125
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.mean_squared_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "mean-squared-error")
    return _average(sums.squares / sums.weight, multioutput)


@accepts_xarray_rows
@documented_like(mean_squared_error)
def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return the square root of :func:`mean_squared_error`.

    With several outputs, the root of each is taken before their mean.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        The error, in the unit of the targets.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import root_mean_squared_error
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> round(root_mean_squared_error(y_true, [2.5, 1.0, 2.0, 8.0]), 4)
    0.559
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.root_mean_squared_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "root-mean-squared-error")
    return _average(np.sqrt(sums.squares / sums.weight), multioutput)


@accepts_xarray_rows
@documented_like(root_mean_squared_error)
def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return ``sum_i s_i |y_i - prediction_i| / sum_i s_i``.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import mean_absolute_error
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> mean_absolute_error(y_true, [2.5, 1.0, 2.0, 8.0])
    0.375
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.mean_absolute_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "mean-absolute-error")
    return _average(sums.distances / sums.weight, multioutput)


@accepts_xarray_rows
def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    force_finite: bool = True,
) -> Any:
    """Return the coefficient of determination.

    ``R2 = 1 - sum_i s_i (y_i - prediction_i)^2 / sum_i s_i (y_i - mean)^2``. The mean and the
    squared deviations are merged from block to block (Chan, Golub and LeVeque 1983), so that no
    digits are lost if targets are far from zero.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        True numbers.
    y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        Predicted numbers.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"}, array-like or None
        How the scores of several outputs are combined: not at all, by their mean (the default,
        and None), or by their mean with the variances or the given numbers as weights.
    force_finite : bool, default=True
        Whether constant targets give 1 if the predictions are perfect, and 0 otherwise. False
        gives NaN and minus infinity instead.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        R2, at most 1; NaN, with a warning, for less than two rows.

    Raises
    ------
    ValueError
        Lengths or numbers of outputs differ, a value is not finite, a weight is negative, or
        ``multioutput`` does not fit the number of outputs.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import r2_score
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> round(r2_score(y_true, [2.5, 1.0, 2.0, 8.0]), 4)
    0.9398
    """
    options = {"multioutput": multioutput, "force_finite": force_finite}
    if not any_lazy(y_true, y_pred, sample_weight):
        return metrics.r2_score(y_true, y_pred, sample_weight=sample_weight, **options)
    _check_average(y_pred, multioutput, _AVERAGES)
    sums = _errors(y_true, y_pred, sample_weight, "r2-score")
    if sums.n_rows < 2:
        return metrics.r2_score([0.0], [0.0])  # NaN, with scikit-learn's warning
    # Three rows with the same sums, so that scikit-learn itself combines the outputs: two rows
    # for the deviations and one, with a target of zero, for the errors: no digits are lost.
    spread, error = np.sqrt(sums.deviations / 2), np.sqrt(sums.squares)
    none = np.zeros_like(spread)
    return metrics.r2_score([spread, -spread, none], [spread, -spread, error], **options)


@accepts_xarray_rows
def max_error(y_true: Any, y_pred: Any) -> float:
    """Return the largest ``|y_i - prediction_i|``.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True numbers.
    y_pred : array-like or lazy array of shape (n_samples,)
        Predicted numbers.

    Returns
    -------
    float
        The error, in the unit of the targets.

    Raises
    ------
    ValueError
        Lengths differ, a value is not finite, or there are several outputs.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import max_error
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> max_error(y_true, [2.5, 1.0, 2.0, 8.0])
    1.0
    """
    if not any_lazy(y_true, y_pred):
        return float(metrics.max_error(y_true, y_pred))
    sums = _errors(y_true, y_pred, None, "max-error")
    if len(sums.largest) > 1:
        raise ValueError("Multioutput not supported in max_error")
    return float(sums.largest[0])


@accepts_xarray_rows
def mean_poisson_deviance(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return ``2 sum_i s_i (y_i log(y_i / prediction_i) - y_i + prediction_i) / sum_i s_i``.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True numbers, at least 0.
    y_pred : array-like or lazy array of shape (n_samples,)
        Predicted means, above 0.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.

    Returns
    -------
    float
        The deviance, at least 0.

    Raises
    ------
    ValueError
        Lengths differ, a value is not finite or out of range, a weight is negative, or there are
        several outputs.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import mean_poisson_deviance
    >>> y_true = da.from_array([3.0, 1.0, 2.0, 7.0], chunks=2)
    >>> round(mean_poisson_deviance(y_true, [2.5, 1.0, 2.0, 8.0]), 4)
    0.0561
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight}
        return float(metrics.mean_poisson_deviance(y_true, y_pred, **options))
    name = "mean-poisson-deviance"
    total = one_pass(PoissonSums(), y_true, y_pred, sample_weight, name=name)
    deviance, weight, n_rows = total
    check_total(weight, int(n_rows))
    return float(deviance / weight)


def _errors(y_true: Any, y_pred: Any, sample_weight: Any, name: str) -> Errors:
    sums = one_pass(ErrorSums(), y_true, y_pred, sample_weight, name=name)
    check_total(sums.weight, sums.n_rows)
    return sums


def _average(values: FloatArray, multioutput: Any) -> Any:
    """Return the combined errors of all outputs, by scikit-learn's function on one row."""
    return metrics.mean_absolute_error(
        np.zeros((1, len(values))), values[None], multioutput=multioutput
    )


def _check_average(y_pred: Any, multioutput: Any, choices: tuple[str, ...] = _AVERAGES[:2]) -> None:
    """Check ``multioutput`` before any data are read.

    Weights can be checked only if the number of outputs is known.
    """
    shape: tuple[Any, ...] = getattr(y_pred, "shape", None) or np.shape(y_pred)
    n_outputs = shape[1] if len(shape) == 2 else 1
    if isinstance(multioutput, str):
        if multioutput not in choices:
            raise ValueError(
                f"multioutput must be one of {choices} or weights, but is {multioutput!r}."
            )
    elif multioutput is not None and np.isfinite(n_outputs):
        metrics.r2_score(np.eye(2, n_outputs), np.eye(2, n_outputs), multioutput=multioutput)
