"""What a caller gives as X, y and sample_weight, as NumPy or Dask arrays of a dtype we store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import compute

__all__ = ["Array", "as_array", "column_names", "stored_dtype", "target_dtype", "with_known_rows"]

Array = npt.NDArray[np.generic] | da.Array

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_array(name: str, values: Any, ndims: Sequence[int]) -> Array:
    """NumPy or Dask array of `values`, without loading what is lazy.

    Parameters
    ----------
    name : str
        What the caller calls it, for messages.
    values : array-like
        NumPy, Dask (array, DataFrame, Series), pandas, zarr.Array, or nested lists of numbers.
    ndims : sequence of int
        Numbers of dimensions that are allowed.

    Returns
    -------
    ndarray or dask.array.Array
        With rows along the first axis, not empty.
    """
    array = _as_any_array(name, values)
    if array.ndim not in ndims:
        allowed = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(f"{name} has shape {array.shape}, but must be {allowed}")
    if any(size == 0 for size in array.shape):
        raise ValueError(f"{name} has shape {array.shape}: there is nothing to store")
    if array.ndim == 2 and isnan(array.shape[1]):
        raise ValueError(f"the number of columns of {name} is unknown; rechunk it to a known one")
    return array


def stored_dtype(name: str, array: Array, dtype: npt.DTypeLike | None = None) -> str:
    """Name of the dtype that floats of `array` are stored with.

    Parameters
    ----------
    name : str
        What the caller calls the array.
    array : ndarray or dask.array.Array
        The values.
    dtype : dtype-like, optional
        Wanted dtype, float32 or float64. By default float32 and float64 stay, float16 becomes
        float32, integers and booleans float64.
    """
    _refuse_non_numbers(name, array.dtype)
    if dtype is not None:
        wanted = np.dtype(dtype).newbyteorder("=")
        if wanted not in _FLOATS:
            raise ValueError(f"{name} cannot be stored as {wanted}: ask for float32 or float64")
        return wanted.name
    if array.dtype.kind != "f":
        return "float64"
    return "float64" if array.dtype.itemsize > 4 else "float32"


def target_dtype(array: Array) -> str:
    """Name of the dtype that y is stored with: its own, except that float16 becomes float32."""
    _refuse_non_numbers("y", array.dtype)
    return stored_dtype("y", array) if array.dtype.kind == "f" else array.dtype.name


def column_names(values: Any) -> list[str] | None:
    """Column names of a DataFrame; None for anything else."""
    columns = getattr(values, "columns", None)
    return None if columns is None or callable(columns) else [str(name) for name in columns]


def with_known_rows(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The same arrays, with lengths found for Dask chunks of unknown length.

    Finding them computes those arrays once, block by block, and keeps only the lengths; arrays
    that come from the same source are counted in one computation.
    """
    counts = {
        name: _count_blocks(array)
        for name, array in arrays.items()
        if isinstance(array, da.Array) and any(isnan(rows) for rows in array.chunks[0])
    }
    found = dict(zip(counts, compute(*counts.values()), strict=True))
    return {
        name: _with_rows(array, found[name])
        if name in found and isinstance(array, da.Array)
        else array
        for name, array in arrays.items()
    }


def _as_any_array(name: str, values: Any) -> Array:
    if hasattr(values, "to_dask_array"):
        values = values.to_dask_array()
    elif _is_zarr(values):
        values = da.from_zarr(values)
    if isinstance(values, da.Array):
        meta: Any = values._meta
    elif hasattr(values, "toarray"):
        meta = values
    else:
        # A list of strings must not become numbers, nor a masked array lose its mask.
        meta = values = np.asanyarray(values)
    if isinstance(meta, np.ma.MaskedArray):
        raise TypeError(f"{name} is masked: fill the masked values first, e.g. .filled(np.nan)")
    if not isinstance(meta, np.ndarray):
        kind = f"{type(meta).__module__}.{type(meta).__name__}"
        raise TypeError(f"{name} is made of {kind}: only dense NumPy blocks can be stored")
    return values if isinstance(values, da.Array) else np.asarray(values)


def _is_zarr(values: Any) -> bool:
    return type(values).__module__.split(".", 1)[0] == "zarr"


def _refuse_non_numbers(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8):
        return
    if dtype.kind in "OUST":
        advice = (
            "encode labels as integers (codes, e.g. np.unique(y, return_inverse=True)) and give "
            "the labels as classes="
            if name == "y"
            else "encode text as numbers, and convert columns of Python objects with astype(float)"
        )
    elif dtype.kind == "c":
        advice = "store its real and imaginary parts as two columns"
    else:
        advice = "convert it to float64 first"
    raise TypeError(f"{name} has dtype {dtype}, which cannot be stored: {advice}")


def _count_blocks(array: da.Array) -> da.Array:
    # Every column chunk has the same rows: the first tells.
    first = array if array.ndim == 1 else array.blocks[:, :1]
    ones = (1,) * array.numblocks[0]
    chunks = (ones,) if array.ndim == 1 else (ones, (1,))
    meta = np.empty((0,) * array.ndim, dtype=np.int64)
    counts: da.Array = da.map_blocks(_count_rows, first, chunks=chunks, meta=meta)
    return counts


def _count_rows(block: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.full((1,) * block.ndim, block.shape[0], dtype=np.int64)


def _with_rows(array: da.Array, counts: npt.NDArray[np.int64]) -> da.Array:
    chunks = (tuple(counts.ravel().tolist()), *array.chunks[1:])
    return da.Array(array.dask, array.name, chunks=chunks, dtype=array.dtype)
