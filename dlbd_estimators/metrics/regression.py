"""Metrics of predicted numbers: one pass sums errors, and centred squares of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn import metrics

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.metrics.one_pass import any_lazy, check_total, numbers, one_pass, row_weights

_AVERAGES = ("raw_values", "uniform_average", "variance_weighted")


def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return ``sum_i s_i (y_i - prediction_i)^2 / sum_i s_i``.

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        True and predicted numbers.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_outputs,)
        All outputs' errors, their mean (default), or their mean with these weights.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In the square of the unit of the targets, float64.

    Raises
    ------
    ValueError
        Lengths or numbers of outputs differ, values are not finite, weights are negative,
        ``multioutput`` does not fit.
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.mean_squared_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "mean-squared-error")
    return _average(sums.squares / sums.weight, multioutput)


def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return the square root of :func:`mean_squared_error`, of each output before their mean.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multioutput
        As for :func:`mean_squared_error`.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In the unit of the targets, float64.

    Raises
    ------
    ValueError
        As for :func:`mean_squared_error`.
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.root_mean_squared_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "root-mean-squared-error")
    return _average(np.sqrt(sums.squares / sums.weight), multioutput)


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Any:
    """Return ``sum_i s_i |y_i - prediction_i| / sum_i s_i``.

    Parameters
    ----------
    y_true, y_pred, sample_weight, multioutput
        As for :func:`mean_squared_error`.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In the unit of the targets, float64.

    Raises
    ------
    ValueError
        As for :func:`mean_squared_error`.
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight, "multioutput": multioutput}
        return metrics.mean_absolute_error(y_true, y_pred, **options)
    _check_average(y_pred, multioutput)
    sums = _errors(y_true, y_pred, sample_weight, "mean-absolute-error")
    return _average(sums.distances / sums.weight, multioutput)


def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    force_finite: bool = True,
) -> Any:
    """Return the coefficient of determination.

    ``1 - sum_i s_i (y_i - prediction_i)^2 / sum_i s_i (y_i - mean)^2``. The mean and the
    squares around it are merged from block to block (Chan, Golub and LeVeque 1983), so that
    targets far from zero lose no digits.

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
        True and predicted numbers.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"}, array-like or None
        All outputs' scores, their mean (default; None too), or their mean with the variances
        or with these as weights.
    force_finite : bool, default=True
        For constant targets, 1 where predictions are perfect and else 0, instead of NaN and
        minus infinity.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        At most 1; NaN for less than two rows, with a warning.

    Raises
    ------
    ValueError
        As for :func:`mean_squared_error`.
    """
    options = {"multioutput": multioutput, "force_finite": force_finite}
    if not any_lazy(y_true, y_pred, sample_weight):
        return metrics.r2_score(y_true, y_pred, sample_weight=sample_weight, **options)
    _check_average(y_pred, multioutput, _AVERAGES)
    sums = _errors(y_true, y_pred, sample_weight, "r2-score")
    if sums.n_rows < 2:
        return metrics.r2_score([0.0], [0.0])  # NaN, with scikit-learn's warning
    # Three rows that have the same sums, so that scikit-learn itself puts them together: two
    # for the deviations, and one for the errors, which then lose no digits to the targets.
    spread, error = np.sqrt(sums.deviations / 2), np.sqrt(sums.squares)
    none = np.zeros_like(spread)
    return metrics.r2_score([spread, -spread, none], [spread, -spread, error], **options)


def max_error(y_true: Any, y_pred: Any) -> float:
    """Return the largest ``|y_i - prediction_i|``.

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,)
        True and predicted numbers.

    Returns
    -------
    float
        In the unit of the targets.

    Raises
    ------
    ValueError
        As for :func:`mean_squared_error`; there are several outputs.
    """
    if not any_lazy(y_true, y_pred):
        return float(metrics.max_error(y_true, y_pred))
    sums = _errors(y_true, y_pred, None, "max-error")
    if len(sums.largest) > 1:
        raise ValueError("Multioutput not supported in max_error")
    return float(sums.largest[0])


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
        At least 0.

    Raises
    ------
    ValueError
        As for :func:`max_error`; a number is out of range.
    """
    if not any_lazy(y_true, y_pred, sample_weight):
        options = {"sample_weight": sample_weight}
        return float(metrics.mean_poisson_deviance(y_true, y_pred, **options))
    name = "mean-poisson-deviance"
    total = one_pass(_PoissonSums(), y_true, y_pred, sample_weight, name=name)
    deviance, weight, n_rows = total
    check_total(weight, int(n_rows))
    return float(deviance / weight)


@dataclass
class _Errors:
    """By output: mean of the targets, squares around it, errors squared, absolute, largest.

    The mean is ``origin + shift``: far from zero, one number would have no room for the digits
    in which the means of blocks differ.
    """

    weight: float
    n_rows: int
    origin: FloatArray
    shift: FloatArray
    deviations: FloatArray
    squares: FloatArray
    distances: FloatArray
    largest: FloatArray


@dataclass(frozen=True)
class _ErrorSums:
    """Sums for one pass."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> _Errors:
        targets, predictions = _columns(y_true, y_pred)
        errors = targets - predictions
        weights = row_weights(sample_weight, len(targets))
        weight = float(weights.sum())
        origin = targets[0] if len(targets) else np.zeros(targets.shape[1])
        centred = targets - origin
        shift = weights @ centred / weight if weight > 0 else 0.0 * origin
        distances = np.abs(errors)
        return _Errors(
            weight,
            len(targets),
            origin,
            shift,
            weights @ (centred - shift) ** 2,
            weights @ errors**2,
            weights @ distances,
            distances.max(axis=0, initial=0.0),
        )

    def combine(self, left: _Errors, right: _Errors) -> _Errors:
        if len(left.shift) != len(right.shift):
            raise ValueError(
                f"Blocks differ in their number of outputs: {len(left.shift)} and "
                f"{len(right.shift)}."
            )
        weight = left.weight + right.weight
        share = right.weight / weight if weight > 0 else 0.0
        gap = (right.origin - left.origin) + (right.shift - left.shift)
        # Rows without weight have no mean.
        known = right if left.weight == 0.0 else left
        return _Errors(
            weight,
            left.n_rows + right.n_rows,
            known.origin,
            known.shift + (share * gap if known is left else 0.0),
            left.deviations + right.deviations + left.weight * share * gap**2,
            left.squares + right.squares,
            left.distances + right.distances,
            np.maximum(left.largest, right.largest),
        )


@dataclass(frozen=True)
class _PoissonSums:
    """Sums for one pass: of deviances, weights and rows."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> FloatArray:
        targets, predictions = _columns(y_true, y_pred)
        if targets.shape[1] > 1:
            raise ValueError("Multioutput not supported in mean_poisson_deviance")
        weights = row_weights(sample_weight, len(targets))
        observed, predicted = targets[:, 0], predictions[:, 0]
        if (observed < 0).any() or (predicted <= 0).any():
            raise ValueError(
                "Mean Poisson deviance can only be used on non-negative y and strictly positive "
                "y_pred."
            )
        deviances = 2 * (xlogy(observed, observed / predicted) - observed + predicted)
        return np.array([weights @ deviances, weights.sum(), len(weights)])

    def combine(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return left + right


def _columns(y_true: Any, y_pred: Any) -> tuple[FloatArray, FloatArray]:
    """Return targets and predictions with a column for each output."""
    pair = []
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        array = numbers(name, values).astype(np.float64, copy=False)
        if array.ndim > 2:
            raise ValueError(f"{name} must be 1D or 2D, but has shape {array.shape}.")
        pair.append(array[:, None] if array.ndim == 1 else array)
    targets, predictions = pair
    if targets.shape[1] != predictions.shape[1]:
        raise ValueError(
            f"y_true and y_pred have different number of output "
            f"({targets.shape[1]}!={predictions.shape[1]})"
        )
    return targets, predictions


def _errors(y_true: Any, y_pred: Any, sample_weight: Any, name: str) -> _Errors:
    sums = one_pass(_ErrorSums(), y_true, y_pred, sample_weight, name=name)
    check_total(sums.weight, sums.n_rows)
    return sums


def _average(values: FloatArray, multioutput: Any) -> Any:
    """Put outputs together as scikit-learn does: by its own function, on one row."""
    return metrics.mean_absolute_error(
        np.zeros((1, len(values))), values[None], multioutput=multioutput
    )


def _check_average(y_pred: Any, multioutput: Any, choices: tuple[str, ...] = _AVERAGES[:2]) -> None:
    """Refuse what does not fit before anything is read, where the number of outputs is known."""
    shape: tuple[Any, ...] = getattr(y_pred, "shape", None) or np.shape(y_pred)
    n_outputs = shape[1] if len(shape) == 2 else 1
    if isinstance(multioutput, str):
        if multioutput not in choices:
            raise ValueError(
                f"multioutput must be one of {choices} or weights, but is {multioutput!r}."
            )
    elif multioutput is not None and np.isfinite(n_outputs):
        metrics.r2_score(np.eye(2, n_outputs), np.eye(2, n_outputs), multioutput=multioutput)
