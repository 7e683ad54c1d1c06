"""Folds of a cross-validation by an array that holds the number of each row's fold."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import LengthMismatch


def names_folds(cv: Any) -> bool:
    """Tell whether ``cv`` is an array or a list of numbers, one for each row."""
    if isinstance(cv, np.ndarray):
        return cv.ndim == 1 and cv.dtype.kind in "iuf"
    return isinstance(cv, list) and bool(cv) and isinstance(cv[0], Integral)


def fold_numbers(cv: Any, n_rows: int) -> NDArray[Any]:
    """Return the number of each row's fold; below 0 for rows that are never tested on.

    Raises
    ------
    TypeError
        They are no integers.
    LengthMismatch
        They are those of another number of rows.
    ValueError
        They leave no row to train on, or none to test on.
    """
    names = np.asarray(cv)
    if names.dtype.kind not in "iu":
        raise TypeError(f"cv names folds by {names.dtype}. Number them: 0, 1, ...; -1 is none.")
    if len(names) != n_rows:
        raise LengthMismatch(
            f"cv names the folds of {len(names)} rows, but X has {n_rows}. Name one for each row; "
            f"-1 is for rows that are never tested on."
        )
    if len(np.unique(np.maximum(names, -1))) < 2:
        raise ValueError(
            f"cv names {len(np.unique(names[names >= 0]))} fold(s) for all rows, which leaves none "
            f"to train or none to test on. Give each row the number of its fold, from 0, or -1 to "
            f"always train on it."
        )
    return names
