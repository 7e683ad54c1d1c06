"""Read the values of a raw Arrow column as one kind: numbers, truth values, times or categories.

A value that is not of the kind (unparsable) is distinguished from a missing value. The result of a
cell does not depend on the other cells of its partition: the fast paths are used only if they read
every cell of the column.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import InvalidData
from storage.ingestion.column import Kind

__all__ = ["LARGEST_EXACT", "NULL_TEXTS", "Cells", "as_texts", "read_cells", "text_at"]

#: Texts that mean a missing value in columns of any kind but category; those of pandas and Arrow.
NULL_TEXTS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NAN = r"(?i)^[+-]?nan(\([a-z0-9_]*\))?$"  # as Arrow reads it
_INTEGER = re.compile(r"([+-]?[0-9]+)(\.0*)?")
#: float64 holds every integer up to this one; the next integer is rounded.
LARGEST_EXACT = 2.0**53

Mask = npt.NDArray[np.bool_]


class Cells(NamedTuple):
    """Values of a column.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
        Numbers and truth values as floats (missing: NaN), datetimes as datetime64 in microseconds
        (missing: NaT), categories and keys as positions in `texts` (missing: -1).
    unparsable : ndarray of bool of shape (n_rows,)
        Cells that are not empty and hold no value of the kind.
    texts : tuple of str
        The distinct categories or keys of these rows.
    complete : bool
        Whether it is known that each cell has a finite number.
    """

    values: npt.NDArray[Any]
    unparsable: Mask
    texts: tuple[str, ...] = ()
    complete: bool = False

    @property
    def missing(self) -> Mask:
        """Mask of the cells without a value."""
        if self.complete:
            return np.zeros(len(self.values), bool)
        if self.values.dtype.kind == "i":
            return self.values < 0
        return np.asarray(np.isnat(self.values) if self.values.dtype.kind == "M"
                          else np.isnan(self.values))  # fmt: skip


def read_cells(array: pa.ChunkedArray, kind: Kind, date_format: str | None = None) -> Cells:
    """Return the values of a column, read as this kind."""
    # combine_chunks would copy a single chunk.
    array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of no chunks, or of texts too long for one
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0, array.type)
    if kind == "number":
        return _numbers(array)
    if kind == "boolean":
        return _booleans(array)
    if kind == "datetime":
        return _datetimes(array, date_format)
    coded = pc.dictionary_encode(as_texts(array))
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return Cells(codes, np.zeros(len(codes), bool), tuple(coded.dictionary.to_pylist()))


def text_at(values: pa.ChunkedArray, row: int) -> str | None:
    """Return the text of one raw value, for a message; None if the cell is empty."""
    if not values[row].is_valid:
        return None
    text: str | None = as_texts(values.slice(row, 1).combine_chunks())[0].as_py()
    return text


def as_texts(array: pa.Array) -> pa.Array:
    """Return values as texts.

    A whole float is written as an integer, since pandas stores integers with missing values as
    floats.
    """
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    try:
        return pc.cast(array, pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise InvalidData(
            f"values of type {array.type} cannot be read: leave the column out with features=, or "
            f"make numbers or texts of it first"
        ) from error


def _numbers(array: pa.Array) -> Cells:
    type_ = array.type
    if pa.types.is_boolean(type_):
        array = pc.cast(array, pa.uint8())
    if not (pa.types.is_integer(type_) or pa.types.is_floating(type_) or _is_bool_or_null(type_)):
        # Decimals, too: Arrow's own cast to float64 does not always return the nearest float.
        return _numbers_of_texts(as_texts(array))
    values = _floats(pc.cast(array, pa.float64(), safe=False))
    complete = bool(np.isfinite(values).all())
    unparsable = np.zeros(len(values), bool) if complete else np.isinf(values)
    if pa.types.is_integer(type_) and type_.bit_width == 64:
        filled = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
        unparsable |= _valid(array) & _rounded(filled, values)
    return Cells(values, unparsable, complete=complete)


def _is_bool_or_null(type_: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(type_) or pa.types.is_null(type_))


def _rounded(integers: npt.NDArray[Any], floats: npt.NDArray[np.float64]) -> Mask:
    """Return a mask of the integers that float64 would round."""
    if not (np.abs(np.nan_to_num(floats)) >= LARGEST_EXACT).any():
        return np.zeros(len(integers), bool)
    # The largest integers are rounded to a float that is out of range for their dtype.
    fits = floats < float(np.iinfo(integers.dtype).max)
    lost: Mask = ~fits | (np.where(fits, floats, 0).astype(integers.dtype) != integers)
    return lost


def _numbers_of_texts(texts: pa.Array) -> Cells:
    try:
        values = _floats(pc.cast(texts, pa.float64()))
        unparsable = np.isinf(values)
    except pa.ArrowInvalid:
        texts = _trimmed(texts)
        good = _true(pc.match_substring_regex(texts, _NUMBER))
        values = np.full(len(texts), np.nan)
        values[good] = texts.to_numpy(zero_copy_only=False)[good].astype(np.float64)
        nan = _true(pc.match_substring_regex(texts, _NAN))
        unparsable = _valid(texts) & ~nan & ~(good & np.isfinite(values))
    large = np.abs(values) >= LARGEST_EXACT
    for row in np.flatnonzero(large & np.isfinite(values)).tolist() if large.any() else ():
        integer = _INTEGER.fullmatch(texts[row].as_py().strip())
        unparsable[row] |= integer is not None and int(integer[1]) != int(values[row])
    return Cells(values, unparsable)


def _booleans(array: pa.Array) -> Cells:
    if pa.types.is_boolean(array.type):
        values = _floats(pc.cast(pc.cast(array, pa.uint8()), pa.float64()))
        return Cells(values, np.zeros(len(values), bool))
    texts = _trimmed(as_texts(array))
    lower = pc.utf8_lower(texts)
    true = _true(pc.is_in(lower, pa.array(_TRUE, lower.type)))
    false = _true(pc.is_in(lower, pa.array(_FALSE, lower.type)))
    values = np.where(true, 1.0, np.where(false, 0.0, np.nan))
    return Cells(values, _valid(texts) & ~true & ~false)


def _datetimes(array: pa.Array, date_format: str | None) -> Cells:
    if pa.types.is_date(array.type) or pa.types.is_timestamp(array.type):
        return Cells(_microseconds(array), np.zeros(len(array), bool))
    texts = as_texts(array)
    if date_format is None:
        try:
            times = _microseconds(pc.cast(texts, pa.timestamp("us")))
            return Cells(times, np.zeros(len(texts), bool))
        except pa.ArrowInvalid:
            pass
    texts = _trimmed(texts)
    times = _by_pandas(texts, date_format or "ISO8601")
    return Cells(times, _valid(texts) & np.isnat(times))


def _by_pandas(texts: pa.Array, date_format: str) -> npt.NDArray[np.datetime64]:
    import pandas as pd

    series = pd.Series(texts.to_pandas(), dtype=object)
    times = pd.to_datetime(series, format=date_format, errors="coerce", utc=True)
    naive = times.dt.tz_localize(None).dt.as_unit("us")
    found: npt.NDArray[np.datetime64] = naive.to_numpy()
    return found


def _microseconds(array: pa.Array) -> npt.NDArray[np.datetime64]:
    if pa.types.is_date(array.type):
        array = pc.cast(array, pa.timestamp("s"))
    # Arrow stores times with a zone in UTC: the cast only drops the name of the zone.
    integers = pc.cast(pc.cast(array, pa.timestamp("us"), safe=False), pa.int64())
    missing = np.iinfo(np.int64).min  # NumPy's NaT
    times: npt.NDArray[np.int64] = pc.fill_null(integers, missing).to_numpy(zero_copy_only=False)
    return times.view("datetime64[us]")


def _trimmed(texts: pa.Array) -> pa.Array:
    """Strip spaces, and replace texts that mean a missing value by null."""
    texts = pc.utf8_trim_whitespace(texts)
    null = pc.is_in(texts, pa.array(NULL_TEXTS, texts.type))
    return pc.if_else(null, pa.scalar(None, texts.type), texts)


def _floats(array: pa.Array) -> npt.NDArray[np.float64]:
    if array.null_count:
        array = pc.fill_null(array, np.nan)
    floats: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return floats


def _valid(array: pa.Array) -> Mask:
    valid: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _true(array: pa.Array) -> Mask:
    true: Mask = pc.fill_null(array, fill_value=False).to_numpy(zero_copy_only=False)
    return true.astype(bool)
