"""Count, mean, standard deviation, minimum and maximum of columns, in one pass over the blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks

from storage.arrays import StoredArrays
from storage.computing import compute
from storage.tables import arrays_of, column_labels, refuse_sparse

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Summary", "summary_frame", "summary_of"]

Floats = npt.NDArray[np.float64]

# Values converted to float64 at a time: they and the results fit in the processor's cache.
_TILE_VALUES = 2**15


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


def summary_of(values: npt.NDArray[Any]) -> Summary:
    """Return the summary of one block of shape (n_rows, n_columns) with one row or more."""
    rows = max(1, _TILE_VALUES // values.shape[1])
    tiles = [_of_tile(values[start : start + rows]) for start in range(0, len(values), rows)]
    total = tiles[0]
    for tile in tiles[1:]:
        total = total.joined(tile)
    return total


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


def summary_frame(data: StoredArrays) -> pd.DataFrame:
    """Return a frame of the statistics of all columns, without y if it holds codes of classes."""
    refuse_sparse(data, "describe", "sum over its blocks, e.g. X.map_blocks(...)")
    import pandas as pd

    labels = column_labels(data)
    arrays = {
        name: array
        for name, array in arrays_of(data).items()
        if name != "y" or data.classes is None
    }
    found = compute(*(_of_blocks(array) for array in arrays.values()))
    parts = []
    for name, blocks in zip(arrays, found, strict=True):
        first, *rest = blocks.ravel().tolist()
        for block in rest:
            first = first.joined(block)
        rows = _rows(first)
        parts.append(pd.DataFrame.from_dict(rows, orient="index", columns=labels[name]))
    return pd.concat(parts, axis=1)


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


def _of_blocks(array: DaskArray) -> DaskArray:
    """Return one Summary for each block, as an array of objects."""
    ones = ((1,) * array.numblocks[0], *((1,) for _ in array.shape[1:]))
    meta = np.empty((0,) * array.ndim, dtype=object)
    found: DaskArray = map_blocks(_block_summary, array, chunks=ones, meta=meta)
    return found


def _block_summary(block: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    result = np.empty((1,) * block.ndim, dtype=object)
    result.flat[0] = summary_of(block.reshape(len(block), -1))
    return result
