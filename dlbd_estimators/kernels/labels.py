"""The distinct labels and their counts, from a pass over y alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel

#: Integer labels whose range is smaller than this are counted rather than sorted.
_COUNTED = 2**16


@dataclass
class LabelCounts:
    """Sorted distinct labels, with the number of rows and the total weight of each."""

    labels: NDArray[Any]
    counts: NDArray[np.int64]
    weights: NDArray[np.float64]
    n_rows: int


@dataclass(frozen=True)
class LabelKernel(Kernel[LabelCounts]):
    """Distinct labels of one block; ``block.y`` holds the labels as given, not encoded."""

    def __call__(self, block: Block, parameters: None = None) -> LabelCounts:
        labels, codes = distinct(block.y)
        counts = np.bincount(codes, minlength=len(labels))
        weights = np.bincount(codes, weights=block.weight, minlength=len(labels))
        return LabelCounts(
            labels, counts.astype(np.int64), weights.astype(np.float64), len(block.y)
        )

    def combine(self, left: LabelCounts, right: LabelCounts) -> LabelCounts:
        labels, codes = np.unique(np.concatenate([left.labels, right.labels]), return_inverse=True)
        counts = np.zeros(len(labels), dtype=np.int64)
        weights = np.zeros(len(labels))
        np.add.at(counts, codes, np.concatenate([left.counts, right.counts]))
        np.add.at(weights, codes, np.concatenate([left.weights, right.weights]))
        return LabelCounts(labels, counts, weights, left.n_rows + right.n_rows)

    def is_finite(self, partial: LabelCounts) -> bool:
        kind = partial.labels.dtype.kind
        sound = kind != "f" or bool(np.isfinite(partial.labels).all())
        return sound and bool(np.isfinite(partial.weights).all())


def distinct(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the result of ``np.unique(y, return_inverse=True)``.

    Integers of a small range are counted, which is faster than sorting.

    Raises
    ------
    TypeError
        The labels have several types that cannot be compared.
    """
    integers = y if y.dtype.kind in "bui" else None
    if y.dtype.kind == "f" and len(y) and np.isfinite(y).all() and np.abs(y).max() < _COUNTED:
        truncated = y.astype(np.int64)
        integers = truncated if np.array_equal(truncated, y) else None
    if integers is None or not len(y):
        return _sorted_distinct(y)
    low, high = int(integers.min()), int(integers.max())
    if high - low >= _COUNTED:
        return np.unique(y, return_inverse=True)
    wide = np.uint64 if integers.dtype.kind == "u" else np.int64
    offsets = (integers.astype(wide) - wide(low)).astype(np.intp)
    present = np.bincount(offsets, minlength=high - low + 1) > 0
    codes = (np.cumsum(present) - 1)[offsets]
    return (np.flatnonzero(present).astype(wide) + wide(low)).astype(y.dtype), codes


def _sorted_distinct(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    try:
        return np.unique(y, return_inverse=True)
    except TypeError as error:
        one_of_each = {type(label).__name__: label for label in y.flat}
        named = " and ".join(f"{label!r:.50} ({name})" for name, label in one_of_each.items())
        raise TypeError(
            f"Labels must have an order, but y holds {named}. Convert all labels to one type, for "
            f"example by y.astype(str)."
        ) from error
