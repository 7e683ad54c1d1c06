"""Metrics of predicted labels: one pass counts pairs of true and predicted labels.

Memory grows with the number of distinct pairs, which is at most the square of the number of
classes. If rows have several labels, each 0 or 1, a pair consists of two rows of labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from dlbd_estimators.base.documentation import documented_like
from dlbd_estimators.base.xarray_input import accepts_xarray_rows
from dlbd_estimators.metrics.contingency import LabelPairs
from dlbd_estimators.metrics.one_pass import any_lazy, check_choice, one_pass

_AVERAGES = ("binary", "micro", "macro", "weighted", "samples", None)


@accepts_xarray_rows
def accuracy_score(
    y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None
) -> float:
    """Return the share of right predictions, ``sum_i s_i [y_i = prediction_i] / sum_i s_i``.

    If rows have several labels, all labels of a row must be right.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        True labels.
    y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        Predicted labels.
    normalize : bool, default=True
        Whether to return the share; False returns the total weight of right predictions.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.

    Returns
    -------
    float
        The accuracy, from 0 to 1 with ``normalize``.

    Raises
    ------
    ValueError
        Lengths differ, targets are continuous, a label is missing, or a weight is negative.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import accuracy_score
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> accuracy_score(y_true, [0, 1, 1, 0])
    0.75
    """
    options = {"normalize": normalize}
    return float(_score(metrics.accuracy_score, y_true, y_pred, sample_weight, options))


@accepts_xarray_rows
def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, adjusted: bool = False
) -> float:
    """Return the mean of the recalls of all classes.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True labels.
    y_pred : array-like or lazy array of shape (n_samples,)
        Predicted labels.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    adjusted : bool, default=False
        Whether to scale the score so that guessing gives 0.

    Returns
    -------
    float
        The score, at most 1.

    Raises
    ------
    ValueError
        Lengths differ, targets are continuous, a label is missing, or a weight is negative.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import balanced_accuracy_score
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> round(balanced_accuracy_score(y_true, [0, 1, 1, 0]), 4)
    0.8333
    """
    options = {"adjusted": adjusted}
    return float(_score(metrics.balanced_accuracy_score, y_true, y_pred, sample_weight, options))


@accepts_xarray_rows
def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    sample_weight: Any = None,
    normalize: str | None = None,
) -> NDArray[Any]:
    """Count rows by true label and predicted label.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True labels.
    y_pred : array-like or lazy array of shape (n_samples,)
        Predicted labels.
    labels : array-like of shape (n_classes,), default=None
        The labels to count, in this order; None means all labels that occur, sorted.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    normalize : {"true", "pred", "all"}, default=None
        Divide the counts by the sums of their rows, of their columns, or by the total.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Counts or weights, with a row for each true label and a column for each predicted one;
        integers if the weights are integers and nothing is divided.

    Raises
    ------
    ValueError
        Lengths differ, targets are continuous, a label is missing, a weight is negative, or none of
        ``labels`` is in ``y_true``.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import confusion_matrix
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> confusion_matrix(y_true, [0, 1, 1, 0])
    array([[1, 0],
           [1, 2]])
    """
    check_choice("normalize", normalize, ("true", "pred", "all", None))
    options = {"labels": labels, "normalize": normalize}
    return np.asarray(_score(metrics.confusion_matrix, y_true, y_pred, sample_weight, options))


@accepts_xarray_rows
def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Return ``tp / (tp + fp)``: the share of rows predicted as a class that belong to it.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        True labels.
    y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        Predicted labels.
    labels : array-like, default=None
        The classes to average over; None means all classes that occur.
    pos_label : int, float, bool or str, default=1
        The positive class, with ``average="binary"``.
    average : {"binary", "micro", "macro", "weighted", "samples", None}, default="binary"
        How the scores of the classes are combined; None returns the score of each class.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    zero_division : {"warn", 0.0, 1.0, np.nan}, default="warn"
        The value of 0 / 0; ``"warn"`` is 0, with a warning.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        The score, from 0 to 1; one for each class with ``average=None``.

    Raises
    ------
    ValueError
        Lengths differ, targets are continuous, a label is missing, or a weight is negative. With
        ``average="binary"`` also if ``pos_label`` does not occur or there are more than two
        classes.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import precision_score
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> precision_score(y_true, [0, 1, 1, 0])
    1.0
    """
    rows = y_true, y_pred, sample_weight
    return _averaged_score(metrics.precision_score, rows, labels, pos_label, average, zero_division)


@accepts_xarray_rows
@documented_like(precision_score)
def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Return ``tp / (tp + fn)``: the share of rows of a class that are predicted as it.

    Recall is also called sensitivity, or the true positive rate.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import recall_score
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> round(recall_score(y_true, [0, 1, 1, 0]), 4)
    0.6667
    """
    rows = y_true, y_pred, sample_weight
    return _averaged_score(metrics.recall_score, rows, labels, pos_label, average, zero_division)


@accepts_xarray_rows
@documented_like(precision_score)
def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Return ``2 tp / (2 tp + fp + fn)``, the harmonic mean of precision and recall.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import f1_score
    >>> y_true = da.from_array([0, 1, 1, 1], chunks=2)
    >>> round(f1_score(y_true, [0, 1, 1, 0]), 4)
    0.8
    """
    rows = y_true, y_pred, sample_weight
    return _averaged_score(metrics.f1_score, rows, labels, pos_label, average, zero_division)


def _averaged_score(
    metric: Any, rows: tuple[Any, Any, Any], labels: Any, pos_label: Any, average: Any, zero: Any
) -> Any:
    check_choice("average", average, _AVERAGES)
    options = {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero}
    return _score(metric, *rows, options)


def _score(
    metric: Any, y_true: Any, y_pred: Any, sample_weight: Any, options: dict[str, Any]
) -> Any:
    """Call scikit-learn's metric on rows in memory, or on the counts of lazy rows."""
    if not any_lazy(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, **options)
    name = metric.__name__.replace("_", "-")
    return metric(**_pair_arguments(y_true, y_pred, sample_weight, name), **options)


def _pair_arguments(y_true: Any, y_pred: Any, sample_weight: Any, name: str) -> dict[str, Any]:
    """Return arguments with which scikit-learn's metric gives its result for all rows."""
    pairs = one_pass(LabelPairs(), y_true, y_pred, sample_weight, name=name)
    # Each pair again, with weight zero: if all labels are different, scikit-learn warns that they
    # look like the targets of a regression.
    return {
        "y_true": np.concatenate([pairs.y_true, pairs.y_true]),
        "y_pred": np.concatenate([pairs.y_pred, pairs.y_pred]),
        "sample_weight": np.concatenate([pairs.weights, np.zeros_like(pairs.weights)]),
    }
