"""NumPy and Dask arrays of rows as sources: columns x0, x1, ..., or those of a structured array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray

from storage.ingestion.infer import SAMPLE_ROWS
from storage.ingestion.numpy_arrays import ArrayPiece, columns_of_array
from storage.ingestion.source import Source

__all__ = ["source_of_array"]


def source_of_array(array: npt.NDArray[Any] | DaskArray, nbytes: int) -> Source:
    """Return the rows of an array.

    A partition is a block of a Dask array, or about `nbytes` of an array in memory.

    Raises
    ------
    ValueError, TypeError
        When the array is no table, or the blocks of a Dask array are not NumPy's.
    """
    if isinstance(array, DaskArray):
        return _dask_array(array)
    return _numpy_array(array, nbytes)


def _numpy_array(array: Any, nbytes: int) -> Source:
    description = "a NumPy array"
    names = _names_of_array(array, description)
    step = max(1, len(array) // max(1, -(-array.nbytes // nbytes)))
    pieces = tuple(
        ArrayPiece(array[start : start + step], "the array")
        for start in range(0, max(len(array), 1), step)
    )
    sample = (ArrayPiece(array[:SAMPLE_ROWS], "the array"),)
    return Source(names, description, frozenset(names), pieces, sample)


def _dask_array(array: DaskArray) -> Source:
    description = "a Dask array"
    if not isinstance(array._meta, np.ndarray):
        raise TypeError(
            f"the blocks of the Dask array are of type {type(array._meta).__name__}, and columns "
            f"are made of NumPy arrays: use storage.create_dataset(url, X, y)"
        )
    if array.ndim == 2:
        if np.isnan(array.shape[1]):
            raise ValueError("the number of columns of the Dask array is unknown: rechunk it")
        array = array.rechunk({1: -1})
    empty = np.empty((0, *array.shape[1:]), array.dtype)
    names = _names_of_array(empty, description)
    blocks = tuple(array.to_delayed().ravel())
    # Dtypes show the kinds of all columns but those of texts and Python objects.
    columns = columns_of_array("X", empty, description).values()
    shown = all(column.dtype.kind not in "OU" for column in columns)
    sample = (ArrayPiece(empty, description),) if shown else blocks[:1]
    return Source(names, description, frozenset(names), blocks, sample)


def _names_of_array(array: Any, description: str) -> tuple[str, ...]:
    if array.ndim == 1 and not array.dtype.names:
        raise ValueError(
            f"{description} of one dimension has one column, and a data set needs features and a "
            f"target: for arrays X and y use storage.create_dataset(url, X, y)"
        )
    return tuple(columns_of_array("X", array, description))
