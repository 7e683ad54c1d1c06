"""Metrics of predicted probabilities: one pass sums costs by true label and column.

The column of a label is known only when all labels are known. Until then the cost of every column
is summed for every label, which takes the memory of ``n_classes ** 2`` floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.base.xarray_input import accepts_xarray_rows
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.labels import distinct
from dlbd_estimators.metrics.contingency import labels as checked_labels
from dlbd_estimators.metrics.one_pass import any_lazy, check_total, numbers, one_pass, row_weights


@accepts_xarray_rows
def log_loss(
    y_true: Any,
    y_proba: Any = None,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = "deprecated",
) -> float:
    """Return the log loss, ``-sum_i s_i log p_i[y_i] / sum_i s_i``.

    ``p_i[y_i]`` is the predicted probability of the true class of row i. Probabilities are clipped
    to ``[eps, 1 - eps]``, where eps is the resolution of their dtype.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True labels.
    y_proba : array-like or lazy array of shape (n_samples, n_classes) or (n_samples,)
        Probabilities, with columns in the order of the sorted labels. A single column has the
        probabilities of the second of two classes.
    normalize : bool, default=True
        Whether to return the mean; False returns the sum.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    labels : array-like, default=None
        All labels; needed if ``y_true`` does not hold all of them.
    y_pred : array-like
        Deprecated name of ``y_proba``, accepted for data in memory only.

    Returns
    -------
    float
        The loss, at least 0.

    Raises
    ------
    ValueError
        Lengths or numbers of classes differ, a probability is not in [0, 1], ``labels`` lacks a
        label, or a weight is negative.

    Warns
    -----
    UserWarning
        The probabilities of a row do not sum to one.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import log_loss
    >>> y_true = da.from_array(["no", "yes", "yes", "no"], chunks=2)
    >>> round(log_loss(y_true, [0.1, 0.9, 0.8, 0.35]), 4)
    0.2162
    """
    renamed = not (isinstance(y_pred, str) and y_pred == "deprecated")
    if not any_lazy(y_true, y_proba, sample_weight, y_pred):
        old = {"y_pred": y_pred} if renamed else {}
        options = {"normalize": normalize, "sample_weight": sample_weight, "labels": labels}
        return float(metrics.log_loss(y_true, y_proba, **options, **old))
    if renamed:
        raise ValueError(
            "`y_pred` of log_loss was renamed to `y_proba` in scikit-learn 1.9, and lazy data "
            "are accepted under the new name only. Use `y_proba` instead."
        )
    costs = _costs(_Logarithms(), y_true, y_proba, sample_weight, "log-loss")
    flat = np.full((len(costs.labels), costs.n_columns), 1.0 / costs.n_columns)
    # scikit-learn itself checks the labels here, on one row of every label.
    metrics.log_loss(*_twice(costs.labels, flat), labels=labels)
    costs.warn_of_sums()
    classes = costs.labels if labels is None else np.unique(labels)
    hit, _ = costs.by_label(classes)
    return float(hit.sum() / costs.weight) if normalize else float(hit.sum())


@accepts_xarray_rows
def brier_score_loss(
    y_true: Any,
    y_proba: Any,
    *,
    sample_weight: Any = None,
    pos_label: Any = None,
    labels: Any = None,
    scale_by_half: Any = "auto",
) -> float:
    """Return the Brier score: the mean squared error of probabilities.

    ``sum_i s_i sum_k (p_ik - [y_i = k])^2 / sum_i s_i``, halved for two classes.

    Parameters
    ----------
    y_true : array-like or lazy array of shape (n_samples,)
        True labels.
    y_proba : array-like or lazy array of shape (n_samples,) or (n_samples, n_classes)
        Probabilities of ``pos_label``, or of all classes in the order of the sorted labels.
    sample_weight : array-like or lazy array of shape (n_samples,), default=None
        Weights, at least 0.
    pos_label : int, float, bool or str, default=None
        The label whose probabilities a single column holds. None means 1, or the greater of the
        two labels.
    labels : array-like, default=None
        All labels, in the order of the columns, if there are several columns.
    scale_by_half : bool or "auto", default="auto"
        Whether to halve the loss, so that it is at most 1; ``"auto"`` does so for two classes.

    Returns
    -------
    float
        The loss, from 0 to 1, or to 2 if it is not halved.

    Raises
    ------
    ValueError
        Lengths or numbers of classes differ, a probability is not in [0, 1], ``labels`` lacks a
        label, or a weight is negative. On lazy data also if ``labels`` is given for one column, or
        ``pos_label`` for several.

    Warns
    -----
    UserWarning
        The probabilities of a row do not sum to one.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.metrics import brier_score_loss
    >>> y_true = da.from_array(["no", "yes", "yes", "no"], chunks=2)
    >>> round(brier_score_loss(y_true, [0.1, 0.9, 0.8, 0.35], pos_label="yes"), 4)
    0.0456
    """
    options = {"pos_label": pos_label, "labels": labels, "scale_by_half": scale_by_half}
    if not any_lazy(y_true, y_proba, sample_weight):
        weighted = {"sample_weight": sample_weight, **options}
        return float(metrics.brier_score_loss(y_true, y_proba, **weighted))
    costs = _costs(_Squares(), y_true, y_proba, sample_weight, "brier-score-loss")
    _refuse_unused(costs, pos_label, labels)
    n_labels, n_columns = len(costs.labels), costs.n_columns
    if costs.one_column:
        # Predict each label with probability 1: the positive label is the one that costs nothing.
        score = metrics.brier_score_loss
        weights = np.eye(n_labels)
        cost = [
            score(
                *_twice(costs.labels, np.ones(n_labels)),
                sample_weight=np.concatenate([selected, np.zeros(n_labels)]),
                **options,
            )
            for selected in weights
        ]
        columns = (np.array(cost) == 0.0).astype(np.intp)
        hit, missed = costs.by_column(columns)
    else:
        flat = np.full((n_labels, n_columns), 1.0 / n_columns)
        metrics.brier_score_loss(*_twice(costs.labels, flat), **options)
        costs.warn_of_sums()
        hit, missed = costs.by_label(costs.labels if labels is None else np.unique(labels))
    halve = n_columns < 3 if scale_by_half == "auto" else bool(scale_by_half)
    return float((hit.sum() + missed.sum()) / costs.weight) * (0.5 if halve else 1.0)


def _refuse_unused(costs: _Costs, pos_label: Any, labels: Any) -> None:
    if costs.one_column and labels is not None:
        raise ValueError(
            "labels is for probabilities of all classes, but y_proba has one column. Leave labels "
            "out, and pass as pos_label the label that the probabilities belong to."
        )
    if not costs.one_column and pos_label is not None:
        raise ValueError(
            f"pos_label is for probabilities of one class, but y_proba has {costs.n_columns} "
            f"columns. Leave pos_label out, or pass only the column of {pos_label!r}."
        )


@dataclass
class _Costs:
    """Sums of costs by label and column.

    ``hit`` are the costs if the column belongs to the label, ``missed`` those if it does not.
    """

    labels: NDArray[Any]
    hit: FloatArray
    missed: FloatArray
    weight: float
    n_rows: int
    one_column: bool
    sums_to_one: bool

    @property
    def n_columns(self) -> int:
        return int(self.hit.shape[1])

    def by_label(self, classes: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        return self.by_column(np.searchsorted(classes, self.labels))

    def by_column(self, columns: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Return each label's costs: in its own column, and in all the others."""
        own = np.arange(len(columns)), columns
        others = self.missed.copy()
        others[own] = 0.0
        return self.hit[own], others

    def warn_of_sums(self) -> None:
        if not self.sums_to_one:
            warn_user("The y_proba values do not sum to one. Make sure to pass probabilities.")


@dataclass(frozen=True)
class _Logarithms:
    """Costs of the logarithmic loss: zero in columns that do not belong to the label."""

    def __call__(self, proba: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        resolution = np.finfo(proba.dtype).eps
        clipped = np.clip(proba, resolution, 1 - resolution).astype(np.float64)
        return -np.log(clipped), np.zeros(proba.shape)


@dataclass(frozen=True)
class _Squares:
    """Costs of the squared loss."""

    def __call__(self, proba: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        exact = proba.astype(np.float64)
        return (1.0 - exact) ** 2, exact**2


@dataclass(frozen=True)
class _CostSums:
    """Sums for one pass: the costs by label and column.

    Parameters
    ----------
    cost : callable
        Function from probabilities to two costs: of the label's own column, and of the others.
    """

    cost: Any

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> _Costs:
        targets = checked_labels("y_true", y_true)
        if targets.ndim != 1:
            raise ValueError(f"y_true should be a 1d array, got an array of shape {y_true.shape}.")
        weights = row_weights(sample_weight, len(targets))
        proba = numbers("y_proba", y_pred)
        if proba.ndim > 2:
            raise ValueError(f"y_proba must be 1D or 2D, but has shape {proba.shape}.")
        one_column = proba.ndim == 1 or proba.shape[1] == 1
        if proba.size and proba.max() > 1:
            raise ValueError(f"y_proba contains values greater than 1: {proba.max()}")
        if proba.size and proba.min() < 0:
            raise ValueError(f"y_proba contains values lower than 0: {proba.min()}")
        if one_column:
            proba = proba.reshape(-1)
            proba = np.column_stack([1 - proba, proba])
        tolerance = np.sqrt(np.finfo(proba.dtype).eps)
        sums_to_one = bool(np.isclose(proba.sum(axis=1), 1.0, rtol=tolerance).all())
        known, codes = distinct(targets)
        hit, missed = self.cost(proba)
        # Rows are grouped by label, so that a product sums them: it rounds less than a loop.
        rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        rows = rows if len(known) else []
        shape = (len(known), proba.shape[1])
        return _Costs(
            known,
            np.reshape([weights[selected] @ hit[selected] for selected in rows], shape),
            np.reshape([weights[selected] @ missed[selected] for selected in rows], shape),
            float(weights.sum()),
            len(targets),
            one_column,
            sums_to_one,
        )

    def combine(self, left: _Costs, right: _Costs) -> _Costs:
        if left.n_columns != right.n_columns:
            raise ValueError(
                f"Blocks of y_proba differ in their number of columns: {left.n_columns} and "
                f"{right.n_columns}."
            )
        known, codes = np.unique(np.concatenate([left.labels, right.labels]), return_inverse=True)
        hit, missed = np.zeros((2, len(known), left.n_columns))
        np.add.at(hit, codes, np.concatenate([left.hit, right.hit]))
        np.add.at(missed, codes, np.concatenate([left.missed, right.missed]))
        return _Costs(
            known,
            hit,
            missed,
            left.weight + right.weight,
            left.n_rows + right.n_rows,
            left.one_column,
            left.sums_to_one and right.sums_to_one,
        )


def _costs(cost: Any, y_true: Any, y_proba: Any, sample_weight: Any, name: str) -> _Costs:
    sums = _CostSums(cost)
    costs = one_pass(sums, y_true, y_proba, sample_weight, name=name, pred_name="y_proba")
    check_total(costs.weight, costs.n_rows)
    return costs


def _twice(labels: NDArray[Any], proba: FloatArray) -> tuple[NDArray[Any], FloatArray]:
    # If all labels are different, scikit-learn warns that they look like regression targets.
    return np.concatenate([labels, labels]), np.concatenate([proba, proba])
