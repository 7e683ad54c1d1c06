"""Elementwise functions of a tile and one row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Elements of the copies of a row. Half as many take longer, and more need more of the cache.
_REPEATED = 8192


class RepeatedRow:
    """A row that is combined with all rows of a tile.

    NumPy runs a loop of its own for each row of a tile, which costs as much as the work on a row of
    a hundred columns. With some copies of the row, it runs one loop over as many rows at a time.

    Parameters
    ----------
    row : ndarray of shape (n_columns,)
        The row.
    dtype : dtype
        Precision of the tiles.
    """

    def __init__(self, row: NDArray[Any], dtype: Any) -> None:
        copies = max(1, _REPEATED // max(len(row), 1))
        self._rows = np.repeat(row.astype(dtype)[None], copies, axis=0)

    def combine(self, function: np.ufunc, tile: NDArray[Any], out: NDArray[Any]) -> None:
        """Write ``function(tile, row)`` to ``out``.

        Parameters
        ----------
        function : ufunc
            A function of two numbers, such as ``np.subtract``.
        tile, out : ndarray of shape (n_rows, n_columns)
            Rows; ``out`` is contiguous, and may be ``tile``.
        """
        copies, n_columns = self._rows.shape
        if not tile.flags.c_contiguous or not tile.size:
            function(tile, self._rows[0], out=out)
            return
        whole = len(tile) // copies * copies
        if whole:
            folded = (-1, copies, n_columns)
            function(tile[:whole].reshape(folded), self._rows, out=out[:whole].reshape(folded))
        function(tile[whole:], self._rows[: len(tile) - whole], out=out[whole:])
