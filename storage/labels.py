"""The labels that integer codes of y stand for: ``y == i`` means ``classes[i]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks

from storage.errors import DatasetCorrupt
from storage.schema import Label

__all__ = ["labels_of"]


@dataclass(frozen=True)
class _Labels:
    """Converts a block of codes to their labels."""

    classes: tuple[Label, ...]

    def __call__(self, codes: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        labels, numbers = _as_array(self.classes), codes.astype(np.intp)
        if numbers.size and not 0 <= np.min(numbers) <= np.max(numbers) < len(labels):
            raise DatasetCorrupt(
                f"y holds codes {np.min(numbers)} to {np.max(numbers)}, but the data set names "
                f"{len(labels)} classes: write the data set again"
            )
        found: npt.NDArray[np.generic] = labels[numbers]
        return found


def labels_of(y: DaskArray, classes: Sequence[Label]) -> DaskArray:
    """Convert the codes in y to their labels, block by block."""
    labels: DaskArray = map_blocks(
        _Labels(tuple(classes)), y, dtype=_as_array(classes).dtype, meta=_as_array(classes)[:0]
    )
    return labels


def _as_array(classes: Sequence[Label]) -> npt.NDArray[np.generic]:
    """Return the labels as an array: text as objects, numbers as numbers.

    Text has dtype object, as in pandas and in scikit-learn's models. So has a mix of text and
    numbers, because NumPy would convert the numbers to text.
    """
    kinds = set(map(type, classes))
    same = len(kinds) == 1 and kinds != {str}
    return np.array(classes, dtype=None if same else object)
