"""Distinct pairs (target, prediction) and their total weights: usually far fewer than rows.

Many metrics need only these: given every distinct pair once with its total weight, scikit-learn's
function returns the same result as for all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.labels import distinct
from dlbd_estimators.metrics.one_pass import row_weights


class ContingencyTable(NamedTuple):
    """Sorted distinct pairs with their weights, which are integers if those of the rows are."""

    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    weights: NDArray[Any]


@dataclass(frozen=True)
class LabelPairs:
    """Sums for one pass: the distinct pairs of labels, or of rows of labels, each 0 or 1."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> ContingencyTable:
        y_true, y_pred = labels("y_true", y_true), labels("y_pred", y_pred)
        return distinct_pairs(y_true, y_pred, exact_weights(sample_weight, len(y_true)))

    def combine(self, left: ContingencyTable, right: ContingencyTable) -> ContingencyTable:
        return joined_pairs(left, right)


def distinct_pairs(
    y_true: NDArray[Any], y_pred: NDArray[Any], weights: NDArray[Any]
) -> ContingencyTable:
    """Return the distinct pairs, with the total weight of each.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_rows,) or (n_rows, n_columns)
        Targets and predictions; each row is a pair.
    weights : ndarray of shape (n_rows,)
        Integers or floats.
    """
    if y_true.ndim == y_pred.ndim == 1:
        targets, target_codes = distinct(y_true)
        predictions, prediction_codes = distinct(y_pred)
        keys, codes = distinct(target_codes * len(predictions) + prediction_codes)
        width = max(len(predictions), 1)
        unique_pairs = targets[keys // width], predictions[keys % width]
    else:
        rows = np.column_stack([y_true, y_pred])
        _, first, codes = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        unique_pairs = y_true[first], y_pred[first]
    # np.bincount sums in float64, which is exact for integer weights, too.
    totals = np.bincount(codes.reshape(-1), weights=weights, minlength=len(unique_pairs[0]))
    return ContingencyTable(*unique_pairs, totals.astype(weights.dtype))


def joined_pairs(left: ContingencyTable, right: ContingencyTable) -> ContingencyTable:
    """Return the distinct pairs of two tables together."""
    parts = zip(left, right, strict=True)
    return distinct_pairs(*(np.concatenate(part) for part in parts))


def exact_weights(sample_weight: Any, n_rows: int) -> NDArray[Any]:
    """Check weights and return them, as integers if they are integers or None."""
    weights = row_weights(sample_weight, n_rows)
    integral = sample_weight is None or np.asarray(sample_weight).dtype.kind in "biu"
    return weights.astype(np.int64) if integral else weights


def labels(name: str, values: Any) -> NDArray[Any]:
    """Check a block of labels and return it as an array.

    Raises
    ------
    ValueError
        Labels are not finite, not whole numbers, or cannot be sorted.
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} should be a 1d array, got an array of shape {array.shape}.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"Input {name} contains NaN or infinity.")
        # Checked here: continuous numbers would give about as many distinct pairs as rows.
        if (array != np.trunc(array)).any():
            raise ValueError(
                f"Classification metrics can't handle continuous {name}: it must hold labels. "
                f"Predict labels, or convert numbers to labels with a threshold."
            )
    if array.dtype.kind == "O":
        kinds = {_kind(value) for value in array.flat}
        if len(kinds) > 1 or None in kinds:
            raise ValueError(
                f"{name} mixes strings with numbers or missing values, which cannot be sorted: "
                f"its labels must be all strings or all numbers."
            )
    return array


def _kind(label: Any) -> type | None:
    """Return a type: labels of the same type can be sorted. None for missing values."""
    if isinstance(label, str):
        return str
    if isinstance(label, Real | np.bool_) and not np.isnan(float(label)):
        return float
    return None
