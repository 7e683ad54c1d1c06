"""The distinct values of each column, and how often each occurs, in one pass.

scikit-learn's own encoder sorts and compares values, so strings, None and NaN stand in its
order; two blocks are merged by sorting what both hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn.preprocessing
from numpy.typing import NDArray

from dlbd_estimators.preprocessing.columns import without_na

#: A column of more distinct values is an identifier: its table would not fit into every task.
MAX_CATEGORIES = 1_000_000


class Column(NamedTuple):
    """Sorted distinct values of a column, and how many rows hold each."""

    values: NDArray[Any]
    counts: NDArray[np.int64]

    def counts_of(self, categories: NDArray[Any]) -> NDArray[np.int64]:
        """Return the counts of some categories; 0 of those that do not occur."""
        found = dict(zip(map(_key, self.values), self.counts, strict=True))
        return np.array([found.get(_key(each), 0) for each in categories], dtype=np.int64)


def _key(value: Any) -> Any:
    """Return what stands for a value in a dictionary: NaN is not equal to itself."""
    return value if value == value else _key  # noqa: PLR0124 - only NaN differs from itself


class Found(NamedTuple):
    """Partial of the pass: the rows seen, and their columns (none if no row was seen)."""

    n_rows: int
    columns: tuple[Column, ...]


class FindCategories:
    """Kernel and combination of the pass.

    Parameters
    ----------
    names : iterable
        What errors call the columns.
    """

    def __init__(self, names: Iterable[Any]) -> None:
        self.names = tuple(names)

    def kernel(self, block: Any) -> Found:
        """Find the categories of one block."""
        if len(block) == 0:
            return Found(0, ())
        block = without_na(block)
        columns = (
            _tally(block.iloc[:, i] if isinstance(block, pd.DataFrame) else block[:, i], name)
            for i, name in enumerate(self.names)
        )
        return Found(len(block), tuple(columns))

    def combine(self, left: Found, right: Found) -> Found:
        """Merge the categories of two runs of blocks."""
        if not (left.n_rows and right.n_rows):
            return left if left.n_rows else right
        columns = (
            sorted_column(
                np.concatenate([a.values, b.values]), np.concatenate([a.counts, b.counts]), name
            )
            for a, b, name in zip(left.columns, right.columns, self.names, strict=True)
        )
        return Found(left.n_rows + right.n_rows, tuple(columns))


def _tally(values: Any, name: Any) -> Column:
    if isinstance(values.dtype, np.dtype):
        if values.dtype.kind in "mM" and pd.isna(values).any():
            raise ValueError(
                f"Column {name} of X holds NaT, a missing date, which scikit-learn's encoders do "
                f"not take as a category. Drop such rows, or fill them in first."
            )
        return sorted_column(values, None, name)
    # Arrow's strings and categoricals are counted without making a Python object of each row.
    tally = values.value_counts(dropna=False, sort=False)
    tally = tally[tally > 0]  # a categorical names also what it does not hold
    return sorted_column(tally.index.to_series(), tally.to_numpy(dtype=np.int64), name)


def sorted_column(values: Any, counts: NDArray[np.int64] | None, name: Any) -> Column:
    """Sort values, and add up the counts (1 where None) of equal ones."""
    table = values.to_frame() if isinstance(values, pd.Series) else values[:, np.newaxis]
    encoder = sklearn.preprocessing.OrdinalEncoder(encoded_missing_value=-1)
    try:
        codes = encoder.fit_transform(table)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Column {name} of X: {error}") from error
    categories = encoder.categories_[0]
    if len(categories) > MAX_CATEGORIES:
        raise ValueError(
            f"Column {name} of X has more than {MAX_CATEGORIES:,} distinct values, too many to "
            f"be categories. Leave the column out, or group its values first, for example by "
            f"hashing them."
        )
    codes = np.asarray(codes)[:, 0].astype(np.intp)
    codes[codes < 0] = len(categories) - 1  # NaN is the last category
    total = np.bincount(codes, weights=counts, minlength=len(categories))
    return Column(categories, total.astype(np.int64))


def infrequent(
    counts: NDArray[np.int64], n_samples: int, min_frequency: Any, max_categories: Any
) -> NDArray[np.bool_]:
    """Tell which categories scikit-learn brings together as infrequent.

    Those that fewer than ``min_frequency`` rows hold (if a float: that share of all rows).
    If with the one that stands for them more than ``max_categories`` are left, then also the
    rarest of those; of equally rare ones the first.
    """
    least: Any = 0 if min_frequency is None else min_frequency
    if not isinstance(least, Integral):
        least = least * n_samples
    rare: NDArray[np.bool_] = counts < least
    if max_categories is not None and max_categories < counts.size - rare.sum() + 1:
        n_rare = counts.size - (max_categories - 1)
        rare[np.argsort(counts, kind="stable")[:n_rare]] = True
    return rare


def table_of(columns: Sequence[NDArray[Any]], names: pd.Index | None) -> Any:
    """Put the values of each column side by side.

    Parameters
    ----------
    columns : sequence of ndarray
        Values; a shorter column repeats its first, an empty one holds what equals no category.
    names : Index or None
        For a frame its columns; None for an array.
    """
    n_rows = max(1, *(len(values) for values in columns))
    filled = [_filled(values, n_rows) for values in columns]
    if names is None:
        return np.stack(filled, axis=1)
    # The dtype is stated, because pandas would make strings of objects.
    series = {i: pd.Series(values, dtype=values.dtype) for i, values in enumerate(filled)}
    return pd.DataFrame(series).set_axis(names, axis=1)


class _Nothing:
    """Equals no category."""


def _filled(values: NDArray[Any], n_rows: int) -> NDArray[Any]:
    first = values[:1] if len(values) else np.array([_Nothing()], dtype=object)
    return np.concatenate([values, np.repeat(first, n_rows - len(values))])


def as_objects(values: NDArray[Any]) -> NDArray[np.object_]:
    """Return an array of objects, NumPy's scalars where the array was NumPy's."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = list(values)
    return objects


def as_given(values: NDArray[Any]) -> NDArray[Any]:
    """Return categories as scikit-learn takes them for its parameter of that name."""
    # Of bytes and dates it compares the type; strings as objects may stand beside NaN.
    return values if values.dtype.kind in "SmM" else as_objects(values)
