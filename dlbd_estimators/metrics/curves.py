"""Curves over all thresholds or all bins of a score, from which plots are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import calibration, metrics

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
from dlbd_estimators.metrics.one_pass import any_lazy, numbers, one_pass
from dlbd_estimators.metrics.quantized_scores import ALL_DIGITS, QuantizedScores

Curve = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@accepts_xarray_rows
def roc_curve(
    y_true: Any,
    y_score: Any,
    *,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = True,
) -> Curve:
    """Return the receiver operating characteristic: two rates for each threshold of the score.

    The curve is exact also for lazy data. It takes 24 bytes of memory in this process for every
    distinct pair of label and score. If that is too much, round the scores, e.g. to four digits.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        Labels, of two classes.
    y_score : array-like or lazy array of shape (n_samples,)
        Scores; a greater score means that the positive class is more likely.
    pos_label : int, float, bool or str, default=None
        The positive class. None means 1, if all labels are among -1, 0 and 1.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    drop_intermediate : bool, default=True
        Whether to leave out points of the curve that lie on a straight line between others.

    Returns
    -------
    fpr : ndarray of shape (n_thresholds,)
        False positive rate: the share of the negative rows with ``score >= threshold``.
    tpr : ndarray of shape (n_thresholds,)
        True positive rate: the share of the positive rows with ``score >= threshold``.
    thresholds : ndarray of shape (n_thresholds,)
        The thresholds, from the largest to the smallest.

    Raises
    ------
    ValueError
        Lengths differ, there are more than two classes, a score is not finite, or ``pos_label``
        is None and the labels do not determine the positive class.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import roc_curve
    >>> y_true = da.from_array([0, 0, 1, 1], chunks=2)
    >>> fpr, tpr, thresholds = roc_curve(y_true, [0.1, 0.4, 0.35, 0.8])
    >>> fpr, tpr
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    if not any_lazy(y_true, y_score, sample_weight):
        curve: Curve = metrics.roc_curve(
            y_true,
            y_score,
            pos_label=pos_label,
            sample_weight=sample_weight,
            drop_intermediate=drop_intermediate,
        )
        return curve
    return rounded_roc_curve(
        y_true,
        y_score,
        pos_label=pos_label,
        sample_weight=sample_weight,
        drop_intermediate=drop_intermediate,
    )


@accepts_xarray_rows
def rounded_roc_curve(
    y_true: Any,
    y_score: Any,
    *,
    max_scores: int | None = None,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = True,
) -> Curve:
    """Return :func:`roc_curve` of lazy data, in memory that does not grow with the rows.

    If there are more than ``max_scores`` distinct scores, the scores are rounded to as many binary
    digits as this number allows. The curve is exact for the rounded scores.

    Parameters
    ----------
    y_true, y_score, pos_label, sample_weight, drop_intermediate
        The arguments of :func:`roc_curve`. At least one array is lazy.
    max_scores : int, default=None
        Largest number of distinct scores to keep; None keeps all.

    Raises
    ------
    ValueError
        An argument is invalid for :func:`roc_curve` too.
    """
    rounding = None if max_scores is None else QuantizedScores(max_scores)
    pairs, _ = one_pass(
        _ScorePairs(rounding), y_true, y_score, sample_weight, name="roc-curve", pred_name="y_score"
    )
    options = {"pos_label": pos_label, "drop_intermediate": drop_intermediate}
    options["sample_weight"] = pairs.weights
    curve: Curve = metrics.roc_curve(pairs.y_true, pairs.y_pred, **options)
    return curve


@accepts_xarray_rows
def calibration_curve(
    y_true: Any,
    y_prob: Any,
    *,
    pos_label: Any = None,
    n_bins: int = 5,
    strategy: str = "uniform",
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the share of positive rows and the mean probability, in bins of the probability.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        Labels, of two classes.
    y_prob : array-like or lazy array of shape (n_samples,)
        Probabilities of the positive class.
    pos_label : int, float, bool or str, default=None
        The positive class. None means 1, if all labels are among -1, 0 and 1.
    n_bins : int, default=5
        Number of bins of [0, 1]. Bins without rows are left out.
    strategy : {"uniform", "quantile"}, default="uniform"
        Whether bins have the same width, or the same number of rows; the latter is possible for
        data in memory only.

    Returns
    -------
    prob_true : ndarray of shape (n_bins,) or smaller
        Share of positive rows in each bin.
    prob_pred : ndarray of shape (n_bins,) or smaller
        Mean of the predicted probabilities in each bin.

    Raises
    ------
    ValueError
        Lengths differ, there are more than two classes, a probability is not in [0, 1],
        ``pos_label`` is None and the labels do not determine the positive class, or
        ``strategy="quantile"`` on lazy data.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import calibration_curve
    >>> y_true = da.from_array([0, 0, 1, 1], chunks=2)
    >>> prob_true, prob_pred = calibration_curve(y_true, [0.1, 0.3, 0.2, 0.9], n_bins=2)
    >>> prob_true.round(3), prob_pred.round(3)
    (array([0.333, 1.   ]), array([0.2, 0.9]))
    """
    options = {"n_bins": n_bins, "strategy": strategy}
    if not any_lazy(y_true, y_prob):
        curve: tuple[NDArray[Any], NDArray[Any]] = calibration.calibration_curve(
            y_true, y_prob, pos_label=pos_label, **options
        )
        return curve
    # scikit-learn's function checks the options before any data are read, and the labels below.
    calibration.calibration_curve([0, 1], [0.0, 1.0], **options)
    if strategy == "quantile":
        raise ValueError(
            "strategy='quantile' sorts all probabilities, which is not supported for lazy data. "
            "Choose 'uniform', or load y_true and y_prob into memory first."
        )
    bins = one_pass(
        _BinSums(int(n_bins)), y_true, y_prob, None, name="calibration-curve", pred_name="y_prob"
    )
    if not len(bins.labels):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    calibration.calibration_curve(bins.labels, np.zeros(len(bins.labels)), pos_label=pos_label)
    if pos_label is None:
        pos_label = 1
    rows = bins.rows.sum(axis=0)
    positive = bins.rows[bins.labels == pos_label].sum(axis=0)
    filled = rows > 0
    return positive[filled] / rows[filled], bins.probabilities.sum(axis=0)[filled] / rows[filled]


@dataclass(frozen=True)
class _ScorePairs:
    """Sums for one pass: distinct pairs (label, score), and the number of digits of scores."""

    rounding: QuantizedScores | None

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> tuple[ContingencyTable, int]:
        targets, scores = checked_labels("y_true", y_true), numbers("y_score", y_pred)
        if scores.ndim != 1:
            raise ValueError(f"y_score must be 1D, but has shape {scores.shape}.")
        weights, digits = exact_weights(sample_weight, len(targets)), ALL_DIGITS
        if self.rounding is not None:
            scores, digits = self.rounding(scores.astype(np.float64))
        return distinct_pairs(targets, scores, weights), digits

    def combine(
        self, left: tuple[ContingencyTable, int], right: tuple[ContingencyTable, int]
    ) -> tuple[ContingencyTable, int]:
        joined, digits = joined_pairs(left[0], right[0]), min(left[1], right[1])
        if self.rounding is None:
            return joined, digits
        scores, digits = self.rounding(joined.y_pred, digits)
        if left[1] == right[1] == digits:
            return joined, digits
        return distinct_pairs(joined.y_true, scores, joined.weights), digits


@dataclass
class _Bins:
    """Number of rows, and sum of their probabilities, by label and bin."""

    labels: NDArray[Any]
    rows: NDArray[Any]
    probabilities: NDArray[Any]


@dataclass(frozen=True)
class _BinSums:
    """Sums for one pass: numbers of rows and sums of probabilities."""

    n_bins: int

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> _Bins:
        targets, prob = checked_labels("y_true", y_true), numbers("y_prob", y_pred)
        if prob.ndim != 1:
            raise ValueError(f"y_prob must be 1D, but has shape {prob.shape}.")
        if len(prob) and not (prob.min() >= 0 and prob.max() <= 1):
            raise ValueError("y_prob has values outside [0, 1].")
        edges = np.linspace(0.0, 1.0, self.n_bins + 1)
        known, codes = np.unique(targets, return_inverse=True)
        cells = codes * self.n_bins + np.searchsorted(edges[1:-1], prob)
        shape = len(known), self.n_bins
        n_cells = len(known) * self.n_bins
        rows = np.bincount(cells, weights=np.ones(len(cells)), minlength=n_cells)
        sums = np.bincount(cells, weights=prob, minlength=n_cells)
        return _Bins(known, rows.reshape(shape), sums.reshape(shape))

    def combine(self, left: _Bins, right: _Bins) -> _Bins:
        known = np.unique(np.concatenate([left.labels, right.labels]))
        shape = len(known), self.n_bins
        joined = _Bins(known, np.zeros(shape), np.zeros(shape))
        for part in (left, right):
            positions = np.searchsorted(known, part.labels)
            joined.rows[positions] += part.rows
            joined.probabilities[positions] += part.probabilities
        return joined
