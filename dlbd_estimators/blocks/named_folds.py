"""Folds of a cross-validation, given as an array of the fold number of each row."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import LengthMismatch


def names_folds(cv: Any) -> bool:
    """Return whether ``cv`` is an array or a list of numbers, one for each row."""
    if isinstance(cv, np.ndarray):
        return cv.ndim == 1 and cv.dtype.kind in "iuf"
    return isinstance(cv, list) and bool(cv) and isinstance(cv[0], Integral)


def fold_numbers(cv: Any, n_rows: int) -> NDArray[Any]:
    """Return the number of each row's fold; below 0 for rows that are never tested on.

    Raises
    ------
    TypeError
        The fold numbers are not integers.
    LengthMismatch
        The number of fold numbers is not ``n_rows``.
    ValueError
        No row is left to train on, or no row is left to test on.
    """
    numbers = np.asarray(cv)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"cv has fold numbers of dtype {numbers.dtype}, but they must be integers: 0, 1, ..., "
            f"or -1 for rows that are never tested on."
        )
    if len(numbers) != n_rows:
        raise LengthMismatch(
            f"cv has fold numbers for {len(numbers)} rows, but X has {n_rows} rows. Give one "
            f"number for each row; -1 is for rows that are never tested on."
        )
    if len(np.unique(np.maximum(numbers, -1))) < 2:
        raise ValueError(
            f"cv has {len(np.unique(numbers[numbers >= 0]))} fold(s) for all rows, which leaves "
            f"no rows to train on, or no rows to test on. Give each row the number of its fold, "
            f"from 0, or -1 to always train on it."
        )
    return numbers
