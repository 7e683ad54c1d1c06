"""Blocks of numbers: check dtypes before reading, and convert blocks to scikit-learn's floats."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from dlbd_estimators.blocks.data_frame_columns import (
    Numbers,
    check_numeric_columns,
    check_numeric_dtype,
)
from dlbd_estimators.blocks.row_functions import Change
from dlbd_estimators.kernels.kernel import scratch
from dlbd_estimators.preprocessing.columns import known_dtype
from dlbd_estimators.preprocessing.infinity import refuse_infinity
from dlbd_estimators.preprocessing.lazy import check_lazy
from dlbd_estimators.preprocessing.narrow_rows import in_place, repeated

#: Dtypes that scikit-learn's scalers keep; all others are converted to the first one.
_FLOATS = [np.float64, np.float32, np.float16]


def numeric_rows(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check lazy X as :func:`~dlbd_estimators.preprocessing.lazy.check_lazy` does, and its dtype.

    Raises
    ------
    TypeError
        X, or a column of it, is not numeric.
    ValueError
        X is complex, or has the wrong shape.
    """
    rows = check_lazy(estimator, X, reset=reset)
    if isinstance(rows, da.Array):
        check_numeric_dtype("X", rows.dtype)
    else:
        check_numeric_columns(rows)
    return rows


def float_dtype(rows: Any) -> np.dtype[Any]:
    """Return the float dtype to which scikit-learn converts X."""
    block = np.zeros((1, 1), rows.dtype) if isinstance(rows, da.Array) else rows._meta_nonempty
    return as_floats(block).dtype


def as_floats(block: Any) -> NDArray[Any]:
    """Convert a block to an array of floats; an array of floats is returned without a copy."""
    if isinstance(block, np.ndarray) and block.dtype in _FLOATS:
        return block
    if isinstance(block, pd.DataFrame):
        return Numbers("X", block.columns, _float_of(block.dtypes))(block)
    floats: NDArray[Any] = check_array(
        block, dtype=_FLOATS, ensure_all_finite=False, ensure_min_samples=0
    )
    return floats


def _float_of(dtypes: Any) -> np.dtype[Any]:
    """Return the float dtype for columns. As in scikit-learn, pandas' own dtypes give float64."""
    found = np.result_type(*(known_dtype(dtype) for dtype in dtypes))
    return found if found in _FLOATS else np.dtype(np.float64)


def in_memory(estimator: Any) -> Any:
    """Return a copy of a fitted transformer that maps arrays to new arrays, for use on blocks.

    The copy has no feature names, because the names of X were checked before. It never changes a
    block in place, because the block may be persisted. It ignores ``set_output``.
    """
    plain = deepcopy(estimator)
    plain.copy = True
    if hasattr(plain, "set_callbacks"):
        plain.set_callbacks()
    vars(plain).pop("feature_names_in_", None)
    return plain.set_output(transform="default")


class FloatRows:
    """A method of a fitted scikit-learn transformer, applied to a block of numbers.

    Parameters
    ----------
    estimator : estimator
        Fitted transformer whose output has as many columns as its input.
    method : {"transform", "inverse_transform"}
        Name of the method.
    """

    def __init__(self, estimator: Any, method: str) -> None:
        self.plain = in_memory(estimator)
        self.method = method

    def __call__(self, block: Any) -> NDArray[Any]:
        floats = as_floats(block)
        if not len(floats):  # scikit-learn refuses to transform no rows
            return floats
        try:
            result: NDArray[Any] = getattr(self.plain, self.method)(floats)
        except ValueError as error:
            refuse_infinity(floats, cause=error)
            raise
        return result

    def change(self, dtype: np.dtype[Any], n_columns: int) -> Change | None:
        """Return a function that maps a tile in place; None if the map is not a list of ufuncs."""
        # A user's subclass may override `transform`.
        known = type(self.plain).__module__.startswith(__package__) and dtype in _FLOATS
        if not known or self.method != "transform":
            return None
        operations = self.plain._operations(dtype)
        if operations is None:
            return None
        return partial(_operate, [(ufunc, row, repeated(row)) for ufunc, row in operations])


#: A ufunc and its second operand, one value for each column.
Operation = tuple[np.ufunc, NDArray[Any]]


def _operate(
    operations: list[tuple[np.ufunc, NDArray[Any], NDArray[Any]]],
    tile: NDArray[Any],
    start: int,
    finite: bool,
) -> bool:
    if not finite and np.isinf(tile, out=scratch("infinite", tile.shape, np.bool_)).any():
        refuse_infinity(tile, start=start)
    for ufunc, row, long_row in operations:
        in_place(ufunc, tile, row, long_row)
    return False  # the result is not known to be finite: the operations may overflow
