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

    def write(self, start: int, tile: Floats, first: int) -> None:
        """Write the rows from `start` on into a tile of zeros, from its column `first` on."""


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

    def write(self, start: int, tile: Floats, first: int) -> None:
        """Write the rows from `start` on into a tile, from its column `first` on."""
        rows = self.columns[start : start + len(tile)]
        # NumPy copies a column faster as an array of one dimension.
        for place in range(self.n_columns):
            tile[:, first + place] = rows[:, place]


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

    def write(self, start: int, tile: Floats, first: int) -> None:
        """Write the rows from `start` on into a tile of zeros, from its column `first` on."""
        positions = self.positions[start : start + len(tile)]
        rows = np.flatnonzero(positions >= 0)
        # With one index for each value, NumPy is several times faster than with two.
        tile.reshape(-1)[rows * tile.shape[1] + (first + positions[rows])] = 1
        gaps = np.flatnonzero(positions == self.MISSING)
        tile[gaps, first : first + self.n_columns] = np.nan


def feature_rows(columns: Sequence[FeatureColumns], start: int, stop: int) -> Floats:
    """Return these rows of X, whose columns are those of each raw column in turn."""
    *firsts, n_columns = np.cumsum([0, *(each.n_columns for each in columns)]).tolist()
    X = np.zeros((stop - start, n_columns))
    step = max(1, _TILE_VALUES // max(1, n_columns))
    for row in range(start, stop, step):
        tile = X[row - start : row - start + step]
        for each, first in zip(columns, firsts, strict=True):
            each.write(row, tile, first)
    return X
