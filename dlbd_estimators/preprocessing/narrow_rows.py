"""Speed up operations on arrays with few columns by viewing several rows as one long row.

NumPy's inner loop runs along one row at a time. For a row of ten values, starting the loop takes
longer than the work. Rows that follow each other in memory can be viewed as one long row with many
columns, if the operation treats all columns alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Number of values of a long row: the cost of starting its loop is then negligible.
_LENGTH = 2048


def in_place(
    ufunc: np.ufunc, X: NDArray[Any], row: NDArray[Any], long_row: NDArray[Any] | None = None
) -> None:
    """Apply a binary ufunc to all rows of X and one other row, in place.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Binary function. It is computed in the precision of `row`, and its result is rounded to the
        precision of X, as by ``X -= row``.
    X : ndarray of shape (n_rows, n_columns)
        The first operand. It is replaced by the result.
    row : ndarray of shape (n_columns,)
        The second operand.
    long_row : ndarray, optional
        ``repeated(row)``, if the caller has computed it.
    """
    long, rest = _end_to_end(X)
    if len(long):
        operand = repeated(row) if long_row is None else long_row
        ufunc(long, operand, out=long, casting="same_kind")
    ufunc(rest, row, out=rest, casting="same_kind")


def repeated(row: NDArray[Any]) -> NDArray[Any]:
    """Return a long row that repeats `row`, as often as rows of this width are joined."""
    return np.tile(row, _times(len(row)))


def reduced(ufunc: np.ufunc, X: NDArray[Any]) -> NDArray[Any]:
    """Reduce each column by a ufunc that does not depend on the order, such as a minimum.

    X must have one row or more.
    """
    long, rest = _end_to_end(X)
    parts = [rest]
    if len(long):
        parts.append(ufunc.reduce(long, axis=0).reshape(-1, X.shape[1]))
    found = [ufunc.reduce(part, axis=0) for part in parts if len(part)]
    return np.asarray(found[0] if len(found) == 1 else ufunc(*found))


def _end_to_end(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a view of X as long rows, and a view of the remaining rows.

    If rows do not follow each other in memory, all rows remain.
    """
    n_rows, n_columns = X.shape
    times = _times(n_columns)
    n_joined = n_rows // times * times if X.flags.c_contiguous else 0
    return X[:n_joined].reshape(n_joined // times, times * n_columns), X[n_joined:]


def _times(n_columns: int) -> int:
    return max(1, _LENGTH // max(1, n_columns))
