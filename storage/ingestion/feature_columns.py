"""The columns of X that raw columns become, and the rows of X made of them.

X is stored by rows. Written column by column, X would pass through the memory once for each raw
column; written in tiles that fit in the processor's cache, it passes once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["FeatureColumns", "Indicators", "Values", "feature_rows"]

Floats = npt.NDArray[np.float64]

#: Values of X in a tile: 1 MiB.
_TILE_VALUES = 2**17


class FeatureColumns(Protocol):
    """The columns of X that one raw column becomes."""

    @property
    def n_columns(self) -> int:
        """Number of columns."""

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows of these columns."""


@dataclass(frozen=True)
class Values:
    """Columns whose values are there.

    Attributes
    ----------
    columns : ndarray of shape (n_rows, n_columns)
        The columns.
    """

    columns: npt.NDArray[Any]

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.columns.shape[1])

    def rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows of these columns."""
        return self.columns[start:stop]


@dataclass(frozen=True)
class Indicators:
    """Columns of 0 and 1, one for each category.

    Attributes
    ----------
    positions : ndarray of int of shape (n_rows,)
        The column that is 1 in each row; -1 if no column is, `MISSING` if all columns are NaN.
    n_columns : int
        Number of columns.
    """

    positions: npt.NDArray[np.intp]
    n_columns: int

    MISSING = -2

    def rows(self, start: int, stop: int) -> Floats:
        """Return rows of these columns."""
        positions = self.positions[start:stop]
        rows = np.zeros((len(positions), self.n_columns))
        ones = np.flatnonzero(positions >= 0)
        # With one index for each value, NumPy is several times faster than with two.
        rows.reshape(-1)[ones * self.n_columns + positions[ones]] = 1
        rows[np.flatnonzero(positions == self.MISSING)] = np.nan
        return rows


def feature_rows(
    columns: Sequence[FeatureColumns], start: int, stop: int, out: Floats | None = None
) -> Floats:
    """Return these rows of X, whose columns are those of each raw column in turn.

    They are written to `out` if it is given, and to new memory if not.
    """
    n_columns = sum(each.n_columns for each in columns)
    X = np.empty((stop - start, n_columns)) if out is None else out
    step = max(1, _TILE_VALUES // max(1, n_columns))
    for row in range(start, stop, step):
        end = min(row + step, stop)
        tile = X[row - start : end - start]
        np.concatenate([each.rows(row, end) for each in columns], axis=1, out=tile)
    return X
