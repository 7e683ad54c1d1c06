"""Find the distinct values of each column, and how often each occurs, in one pass.

scikit-learn's own encoder sorts and compares the values, so that strings, None and NaN are in the
order of scikit-learn. Two blocks are merged by sorting the values of both.
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

#: A column with more distinct values is an identifier: every task would get a table of all values.
MAX_CATEGORIES = 1_000_000


class Column(NamedTuple):
    """Sorted distinct values of a column, and how many rows hold each."""

    values: NDArray[Any]
    counts: NDArray[np.int64]

    def counts_of(self, categories: NDArray[Any]) -> NDArray[np.int64]:
        """Return the counts of `categories`; 0 for a category that does not occur."""
        found = dict(zip(map(_key, self.values), self.counts, strict=True))
        return np.array([found.get(_key(category), 0) for category in categories], dtype=np.int64)


def _key(value: Any) -> Any:
    """Return a dictionary key for a value. All NaN get one key, because NaN != NaN."""
    return value if value == value else _key  # noqa: PLR0124 - only NaN differs from itself


class FoundCategories(NamedTuple):
    """Partial result of the pass: number of rows, and the columns (empty if there is no row)."""

    n_rows: int
    columns: tuple[Column, ...]


class FindCategories:
    """Kernel of the pass, and the function that combines two partial results.

    Parameters
    ----------
    names : iterable
        Names of the columns in error messages.
    """

    def __init__(self, names: Iterable[Any]) -> None:
        self.names = tuple(names)

    def kernel(self, block: Any) -> FoundCategories:
        """Find the categories of one block."""
        if len(block) == 0:
            return FoundCategories(0, ())
        block = without_na(block)
        columns = (
            _tally(block.iloc[:, i] if isinstance(block, pd.DataFrame) else block[:, i], name)
            for i, name in enumerate(self.names)
        )
        return FoundCategories(len(block), tuple(columns))

    def combine(self, left: FoundCategories, right: FoundCategories) -> FoundCategories:
        """Merge the categories of two groups of blocks."""
        if not (left.n_rows and right.n_rows):
            return left if left.n_rows else right
        columns = (
            sorted_column(
                np.concatenate([a.values, b.values]), np.concatenate([a.counts, b.counts]), name
            )
            for a, b, name in zip(left.columns, right.columns, self.names, strict=True)
        )
        return FoundCategories(left.n_rows + right.n_rows, tuple(columns))


def _tally(values: Any, name: Any) -> Column:
    if isinstance(values.dtype, np.dtype):
        if values.dtype.kind in "mM" and pd.isna(values).any():
            raise ValueError(
                f"Column {name} of X holds NaT, a missing date, which scikit-learn's encoders do "
                f"not take as a category. Drop such rows, or fill them in first."
            )
        return sorted_column(values, None, name)
    # value_counts counts Arrow strings and categoricals without a Python object for each row.
    tally = values.value_counts(dropna=False, sort=False)
    tally = tally[tally > 0]  # a categorical also lists categories that no row has
    return sorted_column(tally.index.to_series(), tally.to_numpy(dtype=np.int64), name)


def sorted_column(values: Any, counts: NDArray[np.int64] | None, name: Any) -> Column:
    """Return the sorted distinct values with the sum of their counts (None means 1 each)."""
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
    """Return a mask of the categories that scikit-learn groups as infrequent.

    A category is infrequent if fewer than ``min_frequency`` rows have it (a float is a share of all
    rows). If more than ``max_categories`` remain, where the group of infrequent categories counts
    as one, the rarest of the others are infrequent, too; among equally rare ones the first.
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
    """Return a table with the values of each column side by side.

    Parameters
    ----------
    columns : sequence of ndarray
        Values of each column. A shorter column is filled with its first value, an empty column
        with an object that equals no category.
    names : Index or None
        Names of the columns of a frame; None to return an array.
    """
    n_rows = max(1, *(len(values) for values in columns))
    filled = [_filled(values, n_rows) for values in columns]
    if names is None:
        return np.stack(filled, axis=1)
    # With an explicit dtype: pandas would otherwise convert objects to its string dtype.
    series = {i: pd.Series(values, dtype=values.dtype) for i, values in enumerate(filled)}
    return pd.DataFrame(series).set_axis(names, axis=1)


class _Nothing:
    """A value that equals no category."""


def _filled(values: NDArray[Any], n_rows: int) -> NDArray[Any]:
    first = values[:1] if len(values) else np.array([_Nothing()], dtype=object)
    return np.concatenate([values, np.repeat(first, n_rows - len(values))])


def as_objects(values: NDArray[Any]) -> NDArray[np.object_]:
    """Return an array of objects; elements of a NumPy dtype become NumPy scalars."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = list(values)
    return objects


def as_given(values: NDArray[Any]) -> NDArray[Any]:
    """Return categories in a form that scikit-learn's parameter ``categories`` accepts."""
    # scikit-learn compares the dtype of bytes and dates. Strings need dtype object, because NaN
    # may be among them.
    return values if values.dtype.kind in "SmM" else as_objects(values)
