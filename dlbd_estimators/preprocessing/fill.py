"""Fill in the missing values of blocks, and restore them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.row_functions import Change
from dlbd_estimators.kernels.kernel import scratch
from dlbd_estimators.preprocessing.categories import FoundCategories, sorted_column
from dlbd_estimators.preprocessing.infinity import refuse_infinity
from dlbd_estimators.preprocessing.missing import is_nan, missing_mask, refuse_others, values_of
from dlbd_estimators.preprocessing.statistics import ColumnStatistics, exact_sum

#: Largest share of values that are filled in by index. A larger share is filled in by a mask.
_FEW = 0.75


@dataclass(frozen=True)
class FillRows:
    """Fills the missing values of a block.

    Parameters
    ----------
    marker : object
        The missing value.
    dtype : dtype
        Dtype of the result.
    kept : ndarray of int
        Columns of the block that go into the result.
    values : ndarray of shape (len(kept),)
        Fill values, of the same dtype.
    indicators : ndarray of int
        Columns of the block whose indicators are appended.
    """

    marker: Any
    dtype: np.dtype[Any]
    kept: NDArray[np.intp]
    values: NDArray[Any]
    indicators: NDArray[np.intp]

    def __call__(self, block: Any) -> NDArray[Any]:
        values = values_of(block, self.dtype, self.marker)
        refuse_others(values, self.marker)
        mask = missing_mask(values, self.marker)
        # If all columns are kept, and no indicators appended, two copies of the block are avoided.
        all_kept = len(self.kept) == values.shape[1]
        empty = mask if all_kept else mask[:, self.kept]
        filled = np.where(empty, self.values, values if all_kept else values[:, self.kept])
        if len(self.indicators):
            filled = np.hstack([filled, mask[:, self.indicators]])
        return filled.astype(self.dtype, copy=False)

    def change(self, dtype: np.dtype[Any], n_columns: int) -> Change | None:
        """Return a function that fills a tile in place; None if width or dtype would change."""
        as_wide = len(self.kept) == n_columns and not len(self.indicators)
        return self._fill if as_wide and dtype == self.dtype and is_nan(self.marker) else None

    def _fill(self, tile: NDArray[Any], start: int, finite: bool) -> bool:
        odd = np.isfinite(tile, out=scratch("odd", tile.shape, np.bool_))
        np.logical_not(odd, out=odd)
        if tile.flags.c_contiguous and np.count_nonzero(odd) <= _FEW * odd.size:
            # Work on these values only: faster than several passes over all values.
            places = np.flatnonzero(odd)
            flat = tile.reshape(-1)
            if not np.isnan(flat[places]).all():
                refuse_infinity(tile, start=start)
            flat[places] = self.values[places % tile.shape[1]]
        else:
            refuse_infinity(tile, start=start)
            np.copyto(tile, self.values, where=odd)
        return bool(np.isfinite(self.values).all())


@dataclass(frozen=True)
class UnfillRows:
    """Puts missing values back where indicator columns are 1.

    Parameters
    ----------
    marker : number
        The missing value.
    kept, indicators : ndarray of int
        The same attributes of the :class:`FillRows` to undo.
    n_features : int
        Number of columns of the original data.
    """

    marker: Any
    kept: NDArray[np.intp]
    indicators: NDArray[np.intp]
    n_features: int

    def __call__(self, block: Any) -> NDArray[np.float64]:
        filled = values_of(block, np.dtype(np.float64), self.marker)
        # In columns that were removed, all values were missing.
        original = np.full((len(filled), self.n_features), self.marker, dtype=np.float64)
        original[:, self.kept] = filled[:, : len(self.kept)]
        mask = np.zeros(original.shape, dtype=bool)
        mask[:, self.indicators] = filled[:, len(self.kept) :]
        original[mask] = self.marker
        return original


def filled_statistics(fill: FillRows, known: ColumnStatistics) -> ColumnStatistics:
    """Compute the statistics of filled columns and indicators from those of the input.

    The formulas are exact, not estimates.

    Parameters
    ----------
    fill : FillRows
        Fills NaN with numbers.
    known : ColumnStatistics
        Statistics of the input, without weights.
    """
    values = fill.values.astype(np.float64)
    count, missing = known.count[fill.kept], known.n_missing[fill.kept]
    mean, m2 = known.mean[fill.kept], known.m2[fill.kept]
    n_rows = float(known.n_rows)
    share = missing / n_rows
    filled = missing > 0
    minimum = np.where(filled, np.fmin(known.minimum[fill.kept], values), known.minimum[fill.kept])
    maximum = np.where(filled, np.fmax(known.maximum[fill.kept], values), known.maximum[fill.kept])
    rest = known.rest[fill.kept]
    some = count > 0
    delta = (values - mean) - rest
    m2 = np.where(some, m2 + delta**2 * count * share, 0.0)
    mean, rest = exact_sum(mean, rest + delta * share)
    mean, rest = np.where(some, mean, values), np.where(some, rest, 0.0)
    constant = minimum == maximum
    ones = known.n_missing[fill.indicators]
    others = known.count[fill.indicators]
    weight = np.full(len(fill.kept) + len(fill.indicators), n_rows)
    return ColumnStatistics(
        n_rows=known.n_rows,
        count=weight,
        weight=weight,
        mean=np.concatenate([np.where(constant, minimum, mean), ones / n_rows]),
        rest=np.concatenate([np.where(constant, 0.0, rest), np.zeros(len(ones))]),
        m2=np.concatenate([np.where(constant, 0.0, m2), ones * others / n_rows]),
        minimum=np.concatenate([minimum, np.where(others > 0, 0.0, 1.0)]),
        maximum=np.concatenate([maximum, np.where(ones > 0, 1.0, 0.0)]),
    )


def filled_categories(fill: FillRows, known: FoundCategories) -> FoundCategories | None:
    """Compute the categories of filled columns, and their counts, from those of the input.

    Parameters
    ----------
    fill : FillRows
        Fills NaN.
    known : FoundCategories
        Categories of the input, and their counts.

    Returns
    -------
    FoundCategories or None
        Categories of the filled columns, and their counts; None if indicators are appended.
    """
    if len(fill.indicators):
        return None
    columns = []
    for place, value in zip(fill.kept, fill.values, strict=True):
        found = known.columns[place]
        values = found.values.astype(fill.dtype, copy=True)
        # NaN is the last category.
        if len(values) and values[-1] != values[-1]:
            values[-1] = value
        columns.append(sorted_column(values, found.counts, place))
    return FoundCategories(known.n_rows, tuple(columns))
