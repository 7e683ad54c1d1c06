"""Find the missing values of a block, and statistics and counts of the other values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlbd_estimators.blocks.data_frame_columns import Numbers
from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.preprocessing.categories import FoundCategories, sorted_column
from dlbd_estimators.preprocessing.columns import without_na
from dlbd_estimators.preprocessing.infinity import refuse_infinity
from dlbd_estimators.preprocessing.statistics import (
    ColumnStatistics,
    column_statistics,
    merge,
)

#: Distinct values of a column that are counted to find the most frequent one.
MOST_DISTINCT = 1_000_000


def is_nan(value: Any) -> bool:
    """Return whether a value is NaN or ``pandas.NA``."""
    return value is pd.NA or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def values_of(block: Any, dtype: np.dtype[Any], marker: Any) -> NDArray[Any]:
    """Convert a block to an array of the given dtype.

    Parameters
    ----------
    block : ndarray or pandas.DataFrame
        It is not changed, and may be returned.
    dtype : dtype
        Numeric, or object.
    marker : object
        The missing value. In string columns of a data frame, Dask converts NaN and None to the
        missing value of the string dtype. It becomes None if `marker` is None, else NaN.
    """
    if dtype.kind != "O":
        if isinstance(block, np.ndarray):
            return block.astype(dtype, copy=False)
        return Numbers("X", block.columns, dtype)(block)
    if isinstance(block, np.ndarray):
        return np.asarray(without_na(block).astype(dtype, copy=False))
    values: NDArray[Any] = without_na(block).to_numpy(dtype=object, copy=True)
    for index, kind in enumerate(block.dtypes):
        if not pd.api.types.is_object_dtype(kind):
            values[block.iloc[:, index].isna().to_numpy(), index] = (
                None if marker is None else np.nan
            )
    return values


def missing_mask(values: NDArray[Any], marker: Any) -> NDArray[np.bool_]:
    """Return a mask that is True where a value equals the marker."""
    if marker is pd.NA:
        return np.asarray(pd.isna(values))
    if is_nan(marker):
        if values.dtype.kind == "f":
            return np.asarray(np.isnan(values))
        return np.asarray(values != values, dtype=bool)  # noqa: PLR0124 - only NaN is unequal to itself
    return np.asarray(values == marker, dtype=bool)


def refuse_others(values: NDArray[Any], marker: Any, names: Any = None) -> None:
    """Raise NonFiniteValues for NaN that is not the marker, and for infinity."""
    if not is_nan(marker):
        nan = np.isnan(values) if values.dtype.kind == "f" else values != values  # noqa: PLR0124 - NaN
        nan = np.asarray(nan, dtype=bool)
        if nan.any():
            row, column = (int(i) for i in np.argwhere(nan)[0])
            where = f"column {column}" if names is None else f"column {names[column]!r}"
            raise NonFiniteValues(
                f"Input X contains NaN at row {row} of the block, {where}, but "
                f"missing_values={marker!r}. Impute NaN first, with another SimpleImputer."
            )
    if values.dtype.kind == "f":
        refuse_infinity(values, names=names)


@dataclass(frozen=True)
class Present:
    """Result of the imputer's pass over the data.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    n_missing : ndarray of shape (n_features,)
        Number of missing values of each column.
    statistics : ColumnStatistics or None
        Statistics of the values that are not missing; None for objects.
    counts : tuple of Counter, or None
        For each column, how often each value that is not missing occurs; None if values were not
        counted.
    """

    n_rows: int
    n_missing: NDArray[np.int64]
    statistics: ColumnStatistics | None
    counts: tuple[Counter[Any], ...] | None


@dataclass(frozen=True)
class PresentKernel:
    """Finds the :class:`Present` of a block.

    Parameters
    ----------
    dtype : dtype
        Dtype to which blocks are converted first.
    marker : object
        The missing value.
    counting : bool
        Whether to count how often each value occurs.
    names : sequence of str or None
        Names of the columns, for messages.
    needed : bool, default=True
        Whether too many distinct values are an error. If False, `counts` is None then.
    """

    dtype: np.dtype[Any]
    marker: Any
    counting: bool
    names: Any
    needed: bool = True

    def __call__(self, block: Any) -> Present:
        values = values_of(block, self.dtype, self.marker)
        if values.dtype.kind != "O" and is_nan(self.marker) and not self.counting:
            # The statistics look for infinity, and count NaN.
            found = column_statistics(values, names=self.names)
            return Present(len(values), found.n_missing.astype(np.int64), found, None)
        refuse_others(values, self.marker, self.names)
        mask = missing_mask(values, self.marker)
        statistics = None
        if values.dtype.kind != "O":
            numbers = values
            if mask.any() and not is_nan(self.marker):
                kind = values.dtype if values.dtype.kind == "f" else np.float64
                numbers = np.where(mask, np.nan, values.astype(kind))
            statistics = column_statistics(numbers, names=self.names)
        counts = None
        if self.counting:
            counts = self._few(
                tuple(
                    _counted(values[~mask[:, column], column]) for column in range(values.shape[1])
                )
            )
        return Present(len(values), mask.sum(axis=0), statistics, counts)

    def combine(self, left: Present, right: Present) -> Present:
        """Combine the results of two groups of blocks."""
        statistics, counts = None, None
        if left.statistics is not None and right.statistics is not None:
            statistics = merge(left.statistics, right.statistics)
        if left.counts is not None and right.counts is not None:
            counts = self._few(tuple(a + b for a, b in zip(left.counts, right.counts, strict=True)))
        n_missing = left.n_missing + right.n_missing
        return Present(left.n_rows + right.n_rows, n_missing, statistics, counts)

    def _few(self, counts: tuple[Counter[Any], ...]) -> tuple[Counter[Any], ...] | None:
        """Return the counts, or None if a column has too many distinct values.

        Raises
        ------
        ValueError
            When there are too many, and the counts are needed.
        """
        for column, counter in enumerate(counts):
            if len(counter) <= MOST_DISTINCT:
                continue
            if not self.needed:
                return None
            where = f"Column {column}" if self.names is None else f"Column {self.names[column]!r}"
            raise ValueError(
                f"{where} has {len(counter)} distinct values or more; "
                f"strategy='most_frequent' counts up to {MOST_DISTINCT} on lazy data. For such "
                f"a column use strategy='mean' or 'constant', round its values, or fit on a "
                f"sample in memory: X[:n].compute()."
            )
        return counts


def categories_of(present: Present, dtype: np.dtype[Any]) -> FoundCategories | None:
    """Return the categories that an encoder would find in the same rows; NaN is a category.

    None if nothing was counted, or if some objects are not strings: a counter keeps only one of two
    equal objects, such as 1 and True.
    """
    if present.counts is None or dtype.kind not in "Of" or not present.n_rows:
        return None
    columns = []
    for place, (counter, n_missing) in enumerate(
        zip(present.counts, present.n_missing, strict=True)
    ):
        if dtype.kind == "O" and any(type(each) is not str for each in counter):
            return None
        values = [*counter, *([np.nan] if n_missing else [])]
        counts = [*counter.values(), *([int(n_missing)] if n_missing else [])]
        columns.append(
            sorted_column(np.array(values, dtype=dtype), np.array(counts, dtype=np.int64), place)
        )
    return FoundCategories(present.n_rows, tuple(columns))


def _counted(values: NDArray[Any]) -> Counter[Any]:
    if values.dtype.kind == "O":
        return Counter(values)
    distinct, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))


def most_frequent(counter: Counter[Any]) -> Any:
    """Return the most frequent value; the smallest in a tie, and NaN if there is no value."""
    if not counter:
        return np.nan
    highest = max(counter.values())
    values = [value for value, count in counter.items() if count == highest]
    try:
        return min(values)
    except TypeError:  # types that cannot be compared: scikit-learn sorts by type, then by text
        return min(values, key=lambda value: (str(type(value)), str(value)))
