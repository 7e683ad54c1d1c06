"""Metrics of predicted labels: one pass counts pairs of true and predicted labels.

Memory grows with the number of distinct pairs, at most the square of the number of classes;
of several labels a row, each 0 or 1, with the distinct pairs of rows of labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from dlbd_estimators.metrics.contingency import LabelPairs
from dlbd_estimators.metrics.one_pass import any_lazy, check_choice, one_pass

_AVERAGES = ("binary", "micro", "macro", "weighted", "samples", None)


def accuracy_score(
    y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None
) -> float:
    """Return the share of right predictions; of several labels a row, all must be right.

    ``sum_i s_i [y_i = prediction_i] / sum_i s_i``

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        True and predicted labels.
    normalize : bool, default=True
        False returns the weight of right predictions.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.

    Returns
    -------
    float
        From 0 to 1 where ``normalize``.

    Raises
    ------
    ValueError
        Lengths differ, targets are continuous, labels are missing, weights are negative.
    """
    options = {"normalize": normalize}
    return float(_metric(metrics.accuracy_score, y_true, y_pred, sample_weight, options))


def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, adjusted: bool = False
) -> float:
    """Return the mean of the classes' recalls.

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,)
        True and predicted labels.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    adjusted : bool, default=False
        Scale so that guessing scores 0.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    ValueError
        As for :func:`accuracy_score`.
    """
    options = {"adjusted": adjusted}
    return float(_metric(metrics.balanced_accuracy_score, y_true, y_pred, sample_weight, options))


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
    y_true, y_pred : array-like or lazy array of shape (n_samples,)
        True and predicted labels.
    labels : array-like of shape (n_classes,), default=None
        Which labels, and in which order; by default all there are, sorted.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    normalize : {"true", "pred", "all"}, default=None
        Divide by the sums of rows, of columns, or of all.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        True labels by row; integers where weights are, and nothing is divided.

    Raises
    ------
    ValueError
        As for :func:`accuracy_score`; no label is in ``y_true``.
    """
    check_choice("normalize", normalize, ("true", "pred", "all", None))
    options = {"labels": labels, "normalize": normalize}
    return np.asarray(_metric(metrics.confusion_matrix, y_true, y_pred, sample_weight, options))


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
    """Return ``tp / (tp + fp)``, the share of right ones among predictions of a class.

    Parameters
    ----------
    y_true, y_pred : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        True and predicted labels.
    labels : array-like, default=None
        Classes to average over; by default all there are.
    pos_label : int, float, bool or str, default=1
        The positive class, with ``average="binary"``.
    average : {"binary", "micro", "macro", "weighted", "samples", None}, default="binary"
        How classes are put together; None returns them all.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    zero_division : {"warn", 0.0, 1.0, np.nan}, default="warn"
        What 0 / 0 is; ``"warn"`` is 0 with a warning.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        From 0 to 1.

    Raises
    ------
    ValueError
        As for :func:`accuracy_score`; ``pos_label`` is no label, or classes are not two.
    """
    return _of_classes(
        metrics.precision_score,
        y_true,
        y_pred,
        sample_weight,
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )


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
    """Return ``tp / (tp + fn)``, the share of a class that is found.

    Parameters
    ----------
    y_true, y_pred, labels, pos_label, average, sample_weight, zero_division
        As for :func:`precision_score`.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        From 0 to 1.

    Raises
    ------
    ValueError
        As for :func:`precision_score`.
    """
    return _of_classes(
        metrics.recall_score,
        y_true,
        y_pred,
        sample_weight,
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )


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

    Parameters
    ----------
    y_true, y_pred, labels, pos_label, average, sample_weight, zero_division
        As for :func:`precision_score`.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        From 0 to 1.

    Raises
    ------
    ValueError
        As for :func:`precision_score`.
    """
    return _of_classes(
        metrics.f1_score,
        y_true,
        y_pred,
        sample_weight,
        labels=labels,
        pos_label=pos_label,
        average=average,
        zero_division=zero_division,
    )


def _of_classes(metric: Any, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> Any:
    check_choice("average", options["average"], _AVERAGES)
    return _metric(metric, y_true, y_pred, sample_weight, options)


def _metric(
    metric: Any, y_true: Any, y_pred: Any, sample_weight: Any, options: dict[str, Any]
) -> Any:
    if not any_lazy(y_true, y_pred, sample_weight):
        return metric(y_true, y_pred, sample_weight=sample_weight, **options)
    name = metric.__name__.replace("_", "-")
    return metric(**_counted(y_true, y_pred, sample_weight, name), **options)


def _counted(y_true: Any, y_pred: Any, sample_weight: Any, name: str) -> dict[str, Any]:
    """Return arguments for scikit-learn's metric that stand for all rows."""
    pairs = one_pass(LabelPairs(), y_true, y_pred, sample_weight, name=name)
    # Each pair again, without weight: where labels are all different, scikit-learn suspects a
    # regression.
    return {
        "y_true": np.concatenate([pairs.y_true, pairs.y_true]),
        "y_pred": np.concatenate([pairs.y_pred, pairs.y_pred]),
        "sample_weight": np.concatenate([pairs.weights, np.zeros_like(pairs.weights)]),
    }
