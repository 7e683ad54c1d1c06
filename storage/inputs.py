"""Convert X, y and sample_weight to NumPy or Dask arrays of known length and supported dtype."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks

from storage.columns import advice_for, number_dtype
from storage.computing import compute
from storage.kinds import as_arrays
from storage.layout import HASHES
from storage.progress import stage
from storage.shuffles import check_same_shuffle

__all__ = ["Array", "Inputs", "column_names", "stored_dtype", "weight_dtype"]

Array = npt.NDArray[np.generic] | DaskArray

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_NDIMS = {"X": (2,), "y": (1, 2), "sample_weight": (1,)}


@dataclass(frozen=True)
class Inputs:
    """The arrays that will be written.

    Attributes
    ----------
    arrays : dict of str to ndarray or dask.array.Array
        Rows along the first axis.
    counts : dict of str to dask.array.Array
        For arrays that come from frames, the lengths of their blocks.
    """

    arrays: dict[str, Array]
    counts: dict[str, DaskArray]

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any, hashes: DaskArray | None = None) -> Inputs:
        """Convert the arguments of a caller to arrays. Lazy input stays lazy.

        Hashes are an array already, of known length.

        Raises
        ------
        TypeError, ValueError
            When a type or shape cannot be stored, or the arrays were shuffled separately.
        """
        given = {"X": X, "y": y}
        if sample_weight is not None:
            given["sample_weight"] = sample_weight
        arrays, counts = as_arrays(given)
        for name, array in arrays.items():
            _check_shape(name, array)
        check_same_shuffle(arrays)
        if hashes is not None:
            arrays[HASHES] = hashes
        return cls(arrays, counts)

    def with_known_rows(self) -> dict[str, Array]:
        """Return the arrays after counting the rows of Dask chunks of unknown length.

        Counting computes these arrays once, block by block, and keeps only the lengths. Arrays that
        come from the same source are counted in one computation.
        """
        unknown = {
            name: self.counts[name] if name in self.counts else _count_blocks(array)
            for name, array in self.arrays.items()
            if isinstance(array, DaskArray) and any(isnan(rows) for rows in array.chunks[0])
        }
        with stage("count", sum(counts.npartitions for counts in unknown.values())):
            found = dict(zip(unknown, compute(*unknown.values()), strict=True))
        return {
            name: _with_rows(array, found[name])
            if name in found and isinstance(array, DaskArray)
            else array
            for name, array in self.arrays.items()
        }


def stored_dtype(name: str, array: Array, dtype: npt.DTypeLike | None = None) -> str:
    """Return the name of the dtype to store an array with, in the machine's byte order.

    Parameters
    ----------
    name : str
        Name of the array in messages.
    array : ndarray or dask.array.Array
        The values.
    dtype : dtype-like, optional
        The dtype to store, float32 or float64; None means the array's own dtype.
    """
    _refuse_non_numbers(name, array.dtype)
    if dtype is None:
        return array.dtype.name
    wanted = np.dtype(dtype).newbyteorder("=")
    if wanted not in _FLOATS:
        raise ValueError(f"{name} cannot be stored as {wanted}: ask for float32 or float64")
    return wanted.name


def weight_dtype(array: Array) -> str:
    """Return the name of the dtype to store weights with: float32 for float32 and float16."""
    _refuse_non_numbers("sample_weight", array.dtype)
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return "float32" if narrow else "float64"


def column_names(values: Any) -> list[str] | None:
    """Return the column names of a DataFrame or an Arrow table; None for anything else."""
    # The attribute `columns` of an Arrow table holds values, not names.
    arrow = type(values).__module__.split(".", 1)[0] == "pyarrow"
    columns = getattr(values, "column_names" if arrow else "columns", None)
    return None if columns is None or callable(columns) else [str(name) for name in columns]


def _check_shape(name: str, array: Array) -> None:
    if array.ndim not in _NDIMS[name]:
        allowed = " or ".join(f"{ndim}-D" for ndim in _NDIMS[name])
        raise ValueError(f"{name} has shape {array.shape}, but must be {allowed}")
    if any(size == 0 for size in array.shape):
        raise ValueError(f"{name} has shape {array.shape}: there is nothing to store")
    if array.ndim == 2 and isnan(array.shape[1]):
        raise ValueError(f"the number of columns of {name} is unknown; rechunk it to a known one")


def _refuse_non_numbers(name: str, dtype: np.dtype[Any]) -> None:
    if number_dtype(dtype) is None:
        raise TypeError(
            f"{name} has dtype {dtype}, which cannot be stored: {advice_for(name, dtype)}"
        )


def _count_blocks(array: DaskArray) -> DaskArray:
    # All chunks side by side have the same rows: count the first.
    first = array if array.ndim == 1 else array.blocks[:, :1]
    ones = (1,) * array.numblocks[0]
    chunks = (ones,) if array.ndim == 1 else (ones, (1,))
    meta = np.empty((0,) * array.ndim, dtype=np.int64)
    counts: DaskArray = map_blocks(_count_rows, first, chunks=chunks, meta=meta)
    return counts


def _count_rows(block: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.full((1,) * block.ndim, block.shape[0], dtype=np.int64)


def _with_rows(array: DaskArray, counts: npt.NDArray[np.int64]) -> DaskArray:
    chunks = (tuple(counts.ravel().tolist()), *array.chunks[1:])
    return DaskArray(array.dask, array.name, chunks=chunks, meta=array._meta)
