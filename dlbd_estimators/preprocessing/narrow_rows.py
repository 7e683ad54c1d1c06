"""Narrow rows laid end to end, for what is done to each column alike.

NumPy runs along one row at a time, and a row of ten values takes it longer to begin than to do.
Many rows of a block, one behind the other in memory, are as well one long row of many columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values of a long row: beginning one is then little beside doing it.
_LENGTH = 2048


def in_place(
    ufunc: np.ufunc, X: NDArray[Any], row: NDArray[Any], long_row: NDArray[Any] | None = None
) -> None:
    """Do something to all rows and one other, with the result in their place.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Of two operands. It works in the precision of the row, and its result is rounded to that
        of X, as by ``X -= row``.
    X : ndarray of shape (n_rows, n_columns)
        The first operand; changed.
    row : ndarray of shape (n_columns,)
        The second.
    long_row : ndarray, optional
        The row :func:`repeated`, where it is at hand.
    """
    long, rest = _end_to_end(X)
    if len(long):
        operand = repeated(row) if long_row is None else long_row
        ufunc(long, operand, out=long, casting="same_kind")
    ufunc(rest, row, out=rest, casting="same_kind")


def repeated(row: NDArray[Any]) -> NDArray[Any]:
    """Return a row as often end to end as rows of its width are laid."""
    return np.tile(row, _times(len(row)))


def reduced(ufunc: np.ufunc, X: NDArray[Any]) -> NDArray[Any]:
    """Reduce each column of at least one row by what takes values in any order: an extreme."""
    long, rest = _end_to_end(X)
    parts = [rest]
    if len(long):
        parts.append(ufunc.reduce(long, axis=0).reshape(-1, X.shape[1]))
    found = [ufunc.reduce(part, axis=0) for part in parts if len(part)]
    return np.asarray(found[0] if len(found) == 1 else ufunc(*found))


def _end_to_end(X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return views of long rows and of the rows left over: of all, if they do not lie so."""
    n_rows, n_columns = X.shape
    times = _times(n_columns)
    whole = n_rows // times * times if X.flags.c_contiguous else 0
    return X[:whole].reshape(whole // times, times * n_columns), X[whole:]


def _times(n_columns: int) -> int:
    return max(1, _LENGTH // max(1, n_columns))
