"""Columns of NumPy arrays by name, in memory and in ``.npy`` and ``.npz`` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.rows import NOT_ARROWS, Rows, arrow_texts, no_column_of
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
        arrays = _arrays(path)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        pickled = "Object arrays" in str(error) or "Python objects" in str(error)
        raise InvalidData(
            f"{path} cannot be read as NumPy's: "
            + (
                "it holds Python objects. Save numbers or texts"
                if pickled
                else "it is damaged, not complete, or not a file of NumPy"
            )
        ) from error
    return {
        name: column
        for key, array in arrays.items()
        for name, column in columns_of_array(key, array, path).items()
    }


def _arrays(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:  # NumPy would leave a damaged archive open
        if file.read(2) != b"PK":
            return {"X": np.load(path, mmap_mode="r", allow_pickle=False)}
        file.seek(0)
        archive = np.load(file, allow_pickle=False)
        return {key: archive[key] for key in archive.files}


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
    except NOT_ARROWS as error:
        if plain.dtype == object:
            gaps = pd.isna(plain)
            return arrow_texts(plain, gaps if mask is None else gaps | mask, where)
        raise InvalidData(f"{where} has {no_column_of(plain.dtype)}") from error
