"""Count, mean, standard deviation, extremes and quantiles of columns, in one pass over blocks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed

from storage.arrays import StoredArrays
from storage.computing import compute
from storage.quantiles import Quantiles, QuantileSketch, quantile_name, quantiles_of
from storage.sparse_rows import is_sparse
from storage.tables import arrays_of, column_labels, refuse_sparse

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Summary",
    "summary_frame",
    "summary_of",
    "summary_of_sparse",
    "summary_of_tiles",
    "tiles_of_column",
]

Floats = npt.NDArray[np.float64]

# Values converted to float64 at a time: they and the results fit in the processor's cache.
_TILE_VALUES = 2**15
#: Blocks whose statistics one task joins.
_JOINED = 8


@dataclass(frozen=True)
class Summary:
    """Statistics of each column over a set of rows. NaN are left out.

    Attributes
    ----------
    count : ndarray of shape (n_columns,)
        Number of values.
    mean : ndarray of shape (n_columns,)
        Mean of the values; 0 for a column without values.
    squares : ndarray of shape (n_columns,)
        Sum of squared deviations from the mean.
    low, high : ndarray of shape (n_columns,)
        Smallest and largest value; inf and -inf for a column without values.
    """

    count: npt.NDArray[np.int64]
    mean: Floats
    squares: Floats
    low: Floats
    high: Floats

    def joined(self, other: Summary) -> Summary:
        """Return the summary of the rows of both (Chan, Golub and LeVeque 1979).

        Deviations are taken from the mean, never from zero, so that the squares keep their digits
        if the mean is far from zero.
        """
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values give NaN
            difference = other.mean - self.mean
            weighted = (self.mean * self.count + other.mean * other.count) / np.maximum(count, 1)
            mean = np.where(np.isfinite(difference), self.mean + difference * share, weighted)
            squares = self.squares + other.squares + difference**2 * self.count * share
        return Summary(
            count,
            mean,
            squares,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


#: The attributes of the summary of one column of a tile, as numbers.
ColumnTile: TypeAlias = tuple[int, float, float, float, float]
#: The summary of all columns, and the sketch of each if quantiles are wanted.
_Statistics: TypeAlias = tuple[Summary, list[QuantileSketch]]


def summary_of(values: npt.NDArray[Any]) -> Summary:
    """Return the summary of one block of shape (n_rows, n_columns) with one row or more."""
    rows = max(1, _TILE_VALUES // values.shape[1])
    tiles = [_of_tile(values[start : start + rows]) for start in range(0, len(values), rows)]
    total = tiles[0]
    for tile in tiles[1:]:
        total = total.joined(tile)
    return total


def tiles_of_column(values: Floats) -> list[ColumnTile]:
    """Return the statistics of each tile of one column, for :func:`summary_of_tiles`.

    A column is read where it is, and is not copied beside the others.
    """
    starts = range(0, len(values), _TILE_VALUES)
    return [_of_column(values[start : start + _TILE_VALUES]) for start in starts]


def summary_of_tiles(columns: Sequence[Sequence[ColumnTile]]) -> Summary:
    """Return the summary of columns of the same length, one row or more, from their tiles."""
    total: Summary | None = None
    for found in zip(*columns, strict=True):
        tile = Summary(*(np.array(each) for each in zip(*found, strict=True)))
        total = tile if total is None else total.joined(tile)
    assert total is not None
    return total


def _of_column(values: Floats) -> ColumnTile:
    """Return the statistics of one column of a tile, as :func:`_of_tile` does."""
    low = values.min()
    if np.isnan(low):  # as it is if any value is
        tile = _of_tile(values[:, None])
        count, *floats = (each[0] for each in vars(tile).values())
        return (int(count), *map(float, floats))  # type: ignore[return-value]  # of four floats
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values give NaN
        mean = values.sum() / len(values)
        deviations = values - mean
    squares = np.einsum("i,i->", deviations, deviations)
    return len(values), float(mean), float(squares), float(low), float(values.max())


def _of_tile(values: npt.NDArray[Any]) -> Summary:
    numbers = values.astype(np.float64)
    absent = np.isnan(numbers)
    if not absent.any():
        return _of_whole_tile(numbers)
    count = len(numbers) - np.count_nonzero(absent, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values give NaN
        mean = np.where(absent, 0.0, numbers).sum(axis=0) / np.maximum(count, 1)
        deviations = np.where(absent, 0.0, numbers - mean)
    return Summary(
        count,
        mean,
        np.einsum("ij,ij->j", deviations, deviations),
        np.where(absent, np.inf, numbers).min(axis=0),
        np.where(absent, -np.inf, numbers).max(axis=0),
    )


def _of_whole_tile(numbers: Floats) -> Summary:
    """Summarize a tile that has no NaN, without making copies that leave NaN out."""
    n_rows, n_columns = numbers.shape
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values give NaN
        mean = numbers.sum(axis=0) / n_rows
        deviations = numbers - mean
    return Summary(
        np.full(n_columns, n_rows),
        mean,
        np.einsum("ij,ij->j", deviations, deviations),
        numbers.min(axis=0),
        numbers.max(axis=0),
    )


def summary_of_sparse(rows: Any) -> Summary:
    """Return the summary of a CSR array with one row or more, without making it dense."""
    n_rows, n_columns = rows.shape
    absent = np.isnan(rows.data) if rows.data.dtype.kind == "f" else np.zeros(rows.nnz, np.bool_)
    columns, values = rows.indices[~absent], rows.data[~absent].astype(np.float64)
    count = n_rows - np.bincount(rows.indices[absent], minlength=n_columns)
    n_zeros = count - np.bincount(columns, minlength=n_columns)  # those that are not stored
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values give NaN
        mean = np.bincount(columns, values, n_columns) / np.maximum(count, 1)
        of_stored = np.bincount(columns, (values - mean[columns]) ** 2, n_columns)
        squares = of_stored + n_zeros * mean**2
    low, high = (np.where(n_zeros > 0, 0.0, end) for end in (np.inf, -np.inf))
    np.minimum.at(low, columns, values)
    np.maximum.at(high, columns, values)
    return Summary(count, mean, squares, low, high)


def summary_frame(data: StoredArrays, percentiles: Sequence[float]) -> pd.DataFrame:
    """Return a frame of the statistics of all columns, without y if it holds codes of classes.

    Raises
    ------
    ValueError, TypeError
        When a percentile is not a number from 0 to 1.
    """
    import pandas as pd

    shares = _checked(percentiles)
    if shares:
        refuse_sparse(data, "describe with percentiles", "leave them out")
    labels = column_labels(data)
    arrays = {
        name: array
        for name, array in arrays_of(data).items()
        if name != "y" or data.classes is None
    }
    found = compute(*(_statistics(array, with_quantiles=bool(shares)) for array in arrays.values()))
    parts, errors = [], [0.0]
    for name, (total, sketches) in zip(arrays, found, strict=True):
        rows = _rows(total)
        if shares:
            quantiles = [_quantiles(sketch, shares) for sketch in sketches]
            errors += [column.error for column in quantiles]
            values = np.array([column.values for column in quantiles]).T
            rows |= dict(zip(map(quantile_name, shares), values, strict=True))
        rows["max"] = rows.pop("max")  # after the quantiles, as in pandas
        parts.append(pd.DataFrame.from_dict(rows, orient="index", columns=labels[name]))
    frame = pd.concat(parts, axis=1)
    if shares:
        frame.attrs["rank_error"] = max(errors)
    return frame


def _checked(percentiles: Sequence[float]) -> list[float]:
    """Return the percentiles in ascending order, each once."""
    shares = []
    for share in percentiles:
        if isinstance(share, bool) or not isinstance(share, int | float | np.number):
            raise TypeError(f"percentiles must be numbers from 0 to 1, got {share!r}")
        if not 0 <= share <= 1:
            raise ValueError(f"percentiles must be numbers from 0 to 1, got {share}")
        shares.append(float(share))
    return sorted(set(shares))


def _rows(total: Summary) -> dict[str, Floats]:
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(total.count > 1, total.squares / (total.count - 1), np.nan)
    none = total.count == 0
    return {
        "count": total.count.astype(np.float64),
        "mean": np.where(none, np.nan, total.mean),
        "std": np.sqrt(variance),
        "min": np.where(none, np.nan, total.low),
        "max": np.where(none, np.nan, total.high),
    }


def _quantiles(sketch: QuantileSketch, shares: Sequence[float]) -> Quantiles:
    if not sketch.count:
        return Quantiles((np.nan,) * len(shares), 0.0)
    return quantiles_of([sketch], shares)


def _statistics(array: DaskArray, *, with_quantiles: bool) -> Delayed:
    """Return the summary of all rows, and one sketch of each column if they are wanted.

    Those of neighbouring blocks are joined in a tree, so that no process holds those of all blocks.
    """
    name = f"describe-{uuid.uuid4().hex}"
    function = delayed(partial(_of_block, with_quantiles), traverse=False)
    parts: list[Delayed] = [function(block, dask_key_name=f"{name}-{number}")
                            for number, block in enumerate(array.to_delayed().ravel())]  # fmt: skip
    join = delayed(_joined, traverse=False)
    while len(parts) > 1:
        groups = range(0, len(parts), _JOINED)
        parts = [join(*parts[start : start + _JOINED]) for start in groups]
    return parts[0]


def _of_block(with_quantiles: bool, block: Any) -> _Statistics:
    if is_sparse(block):
        return summary_of_sparse(block), []
    rows = block.reshape(len(block), -1)
    columns = rows.T if with_quantiles else ()
    return summary_of(rows), [QuantileSketch.of(column.astype(np.float64)) for column in columns]


def _joined(*parts: _Statistics) -> _Statistics:
    total, _ = parts[0]
    for summary, _ in parts[1:]:
        total = total.joined(summary)
    columns = zip(*(sketches for _, sketches in parts), strict=True)
    return total, [QuantileSketch.joined(each) for each in columns]
