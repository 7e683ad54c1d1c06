"""Columns of NumPy arrays by name, in memory and in ``.npy`` and ``.npz`` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.rows import Rows, arrow_texts
from storage.messages import first_texts

__all__ = ["ArrayPiece", "NumpyFilePiece", "columns_of_array", "columns_of_file"]


@dataclass(frozen=True)
class ArrayPiece:
    """Some rows of an array in memory.

    Attributes
    ----------
    values : ndarray
        The rows.
    where : str
        The array in words.
    """

    values: npt.NDArray[Any]
    where: str

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows with these columns."""
        found = columns_of_array("X", self.values, self.where)
        return _rows(found, columns, self.where, 0, len(self.values))


@dataclass(frozen=True)
class NumpyFilePiece:
    """Some rows of a file of NumPy.

    Attributes
    ----------
    path : str
        The file.
    start, stop : int
        The first row, and the row after the last.
    """

    path: str
    start: int
    stop: int

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows with these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column, or cannot be read.
        """
        return _rows(columns_of_file(self.path), columns, self.path, self.start, self.stop)


def columns_of_file(path: str) -> dict[str, Any]:
    """Return the columns of a file by name.

    Columns of an array of two dimensions are called x0, x1, ...; in an ``.npz`` archive only those
    of the array ``X`` are, and others have the name of their array and a number. An array of one
    dimension in an archive is one column.

    Raises
    ------
    InvalidData
        When the file cannot be read, or holds an array that is no table.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InvalidData(f"{path} cannot be read as NumPy's: {error}") from error
    if isinstance(loaded, np.ndarray):
        return columns_of_array("X", loaded, path)
    with loaded:
        return {
            name: column
            for key in loaded.files
            for name, column in columns_of_array(key, loaded[key], path).items()
        }


def columns_of_array(name: str, array: Any, where: str) -> dict[str, Any]:
    """Return the columns of an array by name; only a structured array names its columns.

    Raises
    ------
    InvalidData
        When the array has more than two dimensions.
    """
    if array.dtype.names:
        return {field: array[field] for field in array.dtype.names}
    if array.ndim == 1:
        return {name: array}
    if array.ndim != 2:
        raise InvalidData(f"array {name} of {where} has {array.ndim} dimensions; a table has two")
    prefix = "x" if name == "X" else name
    return {f"{prefix}{column}": array[:, column] for column in range(array.shape[1])}


def _rows(
    found: Mapping[str, Any], columns: Sequence[str], where: str, start: int, stop: int
) -> Rows:
    absent = [name for name in columns if name not in found]
    if absent:
        raise InvalidData(f"{where} has no column {absent[0]!r}: it has {first_texts(found, 8)}")
    table = pa.table(
        {name: _arrow(found[name][start:stop], f"column {name!r} of {where}") for name in columns}
    )
    return Rows(table, where, "row", table.num_rows)


def _arrow(values: npt.NDArray[Any], where: str) -> pa.Array:
    """Return a column as Arrow's array; masked values are missing."""
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = np.ascontiguousarray(np.ma.getdata(values))
    if plain.ndim != 1:
        raise InvalidData(f"{where} has {plain.ndim} dimensions: make a column of each number")
    try:
        # Arrow only reads the byte order of this machine.
        native = plain.astype(plain.dtype.newbyteorder("="), copy=False)
        return pa.array(native, mask=mask, from_pandas=plain.dtype == object)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        if plain.dtype == object:
            gaps = pd.isna(plain)
            return arrow_texts(plain, gaps if mask is None else gaps | mask)
        raise InvalidData(
            f"{where} has the dtype {plain.dtype}, which no column can have: convert it to "
            f"numbers, or leave the column out with features="
        ) from error
