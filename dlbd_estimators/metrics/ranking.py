"""The exact area under the ROC curve: one pass merges equal scores.

Every distinct pair of label and score is kept with its weight, which takes 24 bytes for every
column of scores. Most scores of a model are different, so this is 24 bytes per row in this process,
and twice that while blocks are joined. If it is too much, round the scores, e.g. to four digits:
the area changes by less than the share of pairs of rows whose scores become equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.base.xarray_input import accepts_xarray_rows
from dlbd_estimators.metrics.contingency import (
    ContingencyTable,
    distinct_pairs,
    exact_weights,
    joined_pairs,
)
from dlbd_estimators.metrics.contingency import (
    labels as checked_labels,
)
from dlbd_estimators.metrics.one_pass import any_lazy, check_choice, numbers, one_pass


@accepts_xarray_rows
def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    max_fpr: float | None = None,
    multi_class: str = "raise",
    labels: Any = None,
) -> Any:
    """Return the area under the ROC curve.

    It is the probability that a positive row has a greater score than a negative one. It is exact
    also for lazy data, and takes 24 bytes of memory in this process for every distinct pair of
    label and score, in each column of scores.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
        Classes, or several labels for each row, each 0 or 1.
    y_score : array-like or lazy array of shape (n_samples,) or (n_samples, n_classes)
        Scores of the greater of two classes: a greater score means that it is more likely. For
        more classes, their probabilities.
    average : {"macro", "weighted", "micro", "samples", None}, default="macro"
        How the areas of classes or labels are combined; None returns each of them.
        ``"samples"`` is possible for data in memory only.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    max_fpr : float, default=None
        Return the standardised area up to this false positive rate, which is above 0 and at most
        1. Not for more than two classes.
    multi_class : {"raise", "ovr", "ovo"}, default="raise"
        With more than two classes, whether to compare each class with all others (``"ovr"``) or
        each pair of classes (``"ovo"``).
    labels : array-like of shape (n_classes,), default=None
        All classes, sorted, if there are more than two.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        The area, from 0 to 1; NaN, with a warning, if a class has no rows or all rows.

    Raises
    ------
    ValueError
        Lengths or numbers of classes differ, a score is not finite, a weight is negative, options
        contradict each other, or ``average="samples"`` on lazy data.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import roc_auc_score
    >>> y_true = da.from_array([0, 0, 1, 1], chunks=2)
    >>> roc_auc_score(y_true, [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    options = {"average": average, "max_fpr": max_fpr, "multi_class": multi_class, "labels": labels}
    if not any_lazy(y_true, y_score, sample_weight):
        return metrics.roc_auc_score(y_true, y_score, sample_weight=sample_weight, **options)
    check_choice("multi_class", multi_class, ("raise", "ovr", "ovo"))
    if average == "samples":
        raise ValueError(
            "average='samples' ranks the labels of every row, which is not supported for lazy "
            "data. Choose 'macro', 'weighted', 'micro' or None."
        )
    check_choice("average", average, ("macro", "weighted", "micro", None))
    n_columns = y_score.shape[1] if getattr(y_score, "ndim", 1) == 2 else 1
    if multi_class == "raise" and n_columns > 2 and np.ndim(y_true) == 1:
        raise ValueError("multi_class must be in ('ovo', 'ovr')")
    if max_fpr is not None and not 0 < max_fpr <= 1:
        raise ValueError(f"Expected max_fpr in range (0, 1], got: {max_fpr!r}")
    sums = _ScoreSums()
    name = "roc-auc-score"
    merged = one_pass(sums, y_true, y_score, sample_weight, name=name, pred_name="y_score")
    if not len(merged.columns[0].y_true):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    if merged.several_labels:
        return _multilabel_area(merged.columns, average, max_fpr)
    classes = np.unique(merged.columns[0].y_true)
    if len(merged.columns) == 1 or (len(classes) <= 2 and len(merged.columns) == 2):
        return _binary_area(merged.columns, options)
    _check_classes(merged, classes, sample_weight is not None, options)
    known = classes if labels is None else np.asarray(labels)
    if multi_class == "ovo":
        return _one_vs_one_area(merged.columns, known, average)
    return _one_vs_rest_areas(merged.columns, known, average)


@dataclass
class _Scores:
    """The distinct pairs (label, score) of each column of scores."""

    columns: list[ContingencyTable]
    several_labels: bool
    sum_to_one: bool


@dataclass(frozen=True)
class _ScoreSums:
    """Sums for one pass: the weights of the distinct pairs."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> _Scores:
        targets = checked_labels("y_true", y_true)
        scores = numbers("y_score", y_pred)
        if scores.ndim > 2:
            raise ValueError(f"y_score must be 1D or 2D, but has shape {scores.shape}.")
        scores = scores[:, None] if scores.ndim == 1 else scores
        weights = exact_weights(sample_weight, len(targets))
        several = targets.ndim == 2
        if several and targets.shape != scores.shape:
            raise ValueError(
                f"y_true has {targets.shape[1]} labels per row, but y_score has "
                f"{scores.shape[1]} column(s)."
            )
        if several and not np.isin(targets, (0, 1)).all():
            raise ValueError(
                "multiclass-multioutput format is not supported: labels must be 0 or 1."
            )
        columns = [
            distinct_pairs(targets[:, column] if several else targets, scores[:, column], weights)
            for column in range(scores.shape[1])
        ]
        return _Scores(columns, several, bool(np.allclose(1, scores.sum(axis=1))))

    def combine(self, left: _Scores, right: _Scores) -> _Scores:
        if len(left.columns) != len(right.columns):
            raise ValueError(
                f"Blocks of y_score differ in their number of columns: {len(left.columns)} and "
                f"{len(right.columns)}."
            )
        columns = [joined_pairs(*pair) for pair in zip(left.columns, right.columns, strict=True)]
        return _Scores(columns, left.several_labels, left.sum_to_one and right.sum_to_one)


def _binary_area(columns: Sequence[ContingencyTable], options: dict[str, Any]) -> Any:
    if len(columns) > 1:
        raise ValueError(
            f"y_score should be a 1d array for two classes, but has {len(columns)} columns. Pass "
            f"the scores of the greater class, y_score[:, 1]."
        )
    pairs = columns[0]
    return metrics.roc_auc_score(pairs.y_true, pairs.y_pred, sample_weight=pairs.weights, **options)


def _check_classes(
    merged: _Scores, classes: NDArray[Any], weighted: bool, options: dict[str, Any]
) -> None:
    """Check classes and options; scikit-learn does so on equal scores of every class."""
    if not merged.sum_to_one:
        raise ValueError(
            "Target scores need to be probabilities for multiclass roc_auc, i.e. they should sum "
            "up to 1.0 over classes"
        )
    if options["average"] == "samples" or (
        options["average"] == "micro" and options["multi_class"] == "ovo"
    ):
        raise ValueError(
            f"average={options['average']!r} is not supported for "
            f"multi_class={options['multi_class']!r}: choose 'macro' or 'weighted'."
        )
    n_columns = len(merged.columns)
    if options["labels"] is None and len(classes) != n_columns:
        raise ValueError(
            f"Number of classes in y_true not equal to the number of columns in 'y_score': "
            f"{len(classes)} and {n_columns}."
        )
    all_classes = classes if options["labels"] is None else np.asarray(options["labels"])
    absent = np.setdiff1d(classes, all_classes)
    if len(absent):
        raise ValueError(f"'y_true' contains labels not in parameter 'labels': {absent}.")
    # Twice: if all labels are different, scikit-learn warns that they look like a regression.
    twice = np.concatenate([all_classes, all_classes])
    scores = np.full((len(twice), n_columns), 1.0 / n_columns)
    weights = np.ones(len(twice)) if weighted else None
    metrics.roc_auc_score(twice, scores, sample_weight=weights, **options)


def _multilabel_area(
    columns: Sequence[ContingencyTable], average: str | None, max_fpr: float | None
) -> Any:
    tables = [ContingencyTable(column.y_true.astype(np.int64), *column[1:]) for column in columns]
    return _averaged(tables, average, max_fpr)


def _one_vs_rest_areas(
    columns: Sequence[ContingencyTable], classes: NDArray[Any], average: str | None
) -> Any:
    tables = [
        ContingencyTable((pairs.y_true == label).astype(np.int64), *pairs[1:])
        for pairs, label in zip(columns, classes, strict=True)
    ]
    return _averaged(tables, average, None)


def _averaged(
    tables: Sequence[ContingencyTable], average: str | None, max_fpr: float | None
) -> Any:
    """Return the average of the areas of several binary problems."""
    if average == "micro":
        joined = ContingencyTable(*(np.concatenate(part) for part in zip(*tables, strict=True)))
        return _area(joined, max_fpr)
    areas = np.array([_area(pairs, max_fpr) for pairs in tables])
    if average is None:
        return areas
    if average == "macro":
        return float(areas.mean())
    positive = np.array([float(pairs.weights @ pairs.y_true) for pairs in tables])
    if np.isclose(positive.sum(), 0.0):
        return 0.0
    # Labels without weight have no area, and do not count in the average.
    return float(np.average(np.where(positive == 0, 0.0, areas), weights=positive))


def _one_vs_one_area(
    columns: Sequence[ContingencyTable], classes: NDArray[Any], average: str | None
) -> float:
    """Return the average area of all pairs of classes (Hand and Till 2001).

    In each pair, both classes are the positive one in turn.
    """
    areas, prevalence = [], []
    for a, b in combinations(range(len(classes)), 2):
        pair_areas = []
        for positive in (a, b):
            pairs = columns[positive]
            rows = (pairs.y_true == classes[a]) | (pairs.y_true == classes[b])
            targets = (pairs.y_true[rows] == classes[positive]).astype(np.int64)
            pair_areas.append(
                _area(ContingencyTable(targets, pairs.y_pred[rows], pairs.weights[rows]), None)
            )
        areas.append((pair_areas[0] + pair_areas[1]) / 2)
        prevalence.append(float(pairs.weights[rows].sum()))
    return float(np.average(areas, weights=prevalence if average == "weighted" else None))


def _area(pairs: ContingencyTable, max_fpr: float | None) -> float:
    if not len(pairs.y_true):
        message = "No row belongs to either class. ROC AUC score is not defined in that case."
        warn_user(message, UndefinedMetricWarning)
        return np.nan
    weights = pairs.weights
    return float(
        metrics.roc_auc_score(pairs.y_true, pairs.y_pred, sample_weight=weights, max_fpr=max_fpr)
    )
