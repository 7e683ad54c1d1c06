"""Compare the keys of two tables: values of the same type that are equal.

Values are first converted to one of a few types, so that an int32 key matches an int64 key, and the
texts of a categorical match texts. Texts, numbers, truth values and times never match one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import InvalidData

__all__ = ["TYPES", "KeyIndex", "one_array", "plain_array", "sorted_positions", "type_name"]

Positions = npt.NDArray[np.int64]

#: The types of converted values, and their names in messages and files.
TYPES = {
    "text": pa.large_string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "truth value": pa.bool_(),
    "time": pa.timestamp("us"),
    "time with a zone": pa.timestamp("us", "UTC"),
    "nothing": pa.null(),
}
# float64 holds every integer up to this one.
_LARGEST = 2**53


def type_name(array: pa.Array) -> str:
    """Return the name in TYPES of the type of a converted array."""
    return next(name for name, type_ in TYPES.items() if type_ == array.type)


def one_array(values: pa.ChunkedArray) -> pa.Array:
    """Return the chunks of a column as one array."""
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)


def plain_array(values: pa.ChunkedArray, where: str) -> pa.Array:
    """Convert values to one of the types in TYPES.

    NaN becomes null, and -0.0 becomes 0.0, because they are the same key.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Values of one column.
    where : str
        The column and its table, for messages.

    Raises
    ------
    InvalidData
        When values of this type cannot be joined, or do not fit into 64 bits.
    """
    array = one_array(values)
    try:
        if pa.types.is_dictionary(array.type):
            array = pc.cast(array, array.type.value_type)
        if pa.types.is_floating(array.type) or pa.types.is_decimal(array.type):
            floats = pc.add(pc.cast(array, pa.float64()), 0.0)
            return pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.float64()), floats)
        return _cast(array)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidData(
            f"{where} has values of type {array.type}, which cannot be joined ({error}): make "
            f"numbers, texts or times of them first, or leave the column out with columns="
        ) from error


def _cast(array: pa.Array) -> pa.Array:
    type_ = array.type
    if pa.types.is_timestamp(type_):
        zone = "time" if type_.tz is None else "time with a zone"
        return pc.cast(array, TYPES[zone], safe=False)
    if pa.types.is_date(type_):
        return pc.cast(pc.cast(array, pa.timestamp("s")), TYPES["time"])
    if pa.types.is_integer(type_):
        return pc.cast(array, TYPES["integer"])
    if pa.types.is_boolean(type_) or pa.types.is_null(type_):
        return array
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return pc.cast(array, TYPES["text"])
    if not pa.types.is_large_string(type_):
        raise pa.ArrowNotImplementedError("only numbers, truth values, texts and times can be")
    return array


@dataclass(frozen=True)
class KeyIndex:
    """The positions of the rows of a table by their keys, which are distinct.

    Attributes
    ----------
    names : tuple of str
        Names of the columns of the key.
    values : tuple of pyarrow.Array
        The distinct values of each column.
    pairs : tuple of ndarray of int64
        For each column after the first: the sorted numbers of the combinations of its values with
        those of the columns before.
    rows : ndarray of int64
        The row of each combination; -1 for a value that only occurs in a row with a missing key.
    """

    names: tuple[str, ...]
    values: tuple[pa.Array, ...]
    pairs: tuple[Positions, ...]
    rows: Positions

    @classmethod
    def of(cls, names: Sequence[str], columns: Sequence[pa.Array]) -> tuple[KeyIndex, Positions]:
        """Return the index of converted columns, and the rows whose key an earlier row has."""
        values = tuple(pc.drop_null(pc.unique(column)) for column in columns)
        codes = _codes(columns[0], values[0])
        pairs = []
        for column, known in zip(columns[1:], values[1:], strict=True):
            combined = _combined(codes, _codes(column, known), len(known))
            pairs.append(np.unique(combined[combined >= 0]))
            codes = sorted_positions(combined, pairs[-1])
        n_keys = len(pairs[-1]) if pairs else len(values[0])
        rows = np.full(n_keys, -1, dtype=np.int64)
        complete = np.flatnonzero(codes >= 0)
        first, where = np.unique(codes[complete], return_index=True)
        rows[first] = complete[where]
        repeated = complete[rows[codes[complete]] != complete]
        return cls(tuple(names), values, tuple(pairs), rows), repeated

    def find(self, columns: Sequence[pa.Array], names: Sequence[str], where: str) -> Positions:
        """Return the row of each key; -1 for keys that the index does not have.

        Parameters
        ----------
        columns : sequence of pyarrow.Array
            Converted columns of the keys.
        names : sequence of str
            Their names, for messages.
        where : str
            Their table, for messages.

        Raises
        ------
        InvalidData
            When a column has another type than that of the index.
        """
        pairs: Any = (None, *self.pairs)
        codes = np.zeros(len(columns[0]), dtype=np.int64)
        for number, (column, known) in enumerate(zip(columns, self.values, strict=True)):
            place = f"column {names[number]!r} of {where}"
            found = _codes(*_of_one_type(column, known, place, self.names[number]))
            if number:
                found = sorted_positions(_combined(codes, found, len(known)), pairs[number])
            codes = found
        if not len(self.rows):
            return np.full(len(codes), -1, dtype=np.int64)
        return np.where(codes >= 0, self.rows[codes], -1)


def _codes(column: pa.Array, known: pa.Array) -> Positions:
    """Return the positions of values among the known ones; -1 for others and missing ones."""
    if pa.types.is_null(column.type) or not len(known):
        return np.full(len(column), -1, dtype=np.int64)
    found = pc.index_in(column, value_set=known)
    codes: Positions = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _combined(codes: Positions, more: Positions, n_more: int) -> Positions:
    """Return one number for each pair of codes; -1 if one of them is missing."""
    return np.where((codes >= 0) & (more >= 0), codes * n_more + more, -1)


def sorted_positions(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> Positions:
    """Return the positions of values in a sorted array; -1 for others."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    positions = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[positions] == values, positions, -1)


def _of_one_type(
    column: pa.Array, known: pa.Array, where: str, name: str
) -> tuple[pa.Array, pa.Array]:
    """Return two columns whose values can be compared; integers and floats are by value."""
    types = {type_name(column), type_name(known)}
    if len(types) == 1 or "nothing" in types:
        return column, known
    if types != {"integer", "float"}:
        raise InvalidData(
            f"{where} has values of type {type_name(column)!r}, and column {name!r} of the joined "
            f"table has values of type {type_name(known)!r}, so no key could match: convert one of "
            f"them. Values of CSV files and of folders such as month=7 are texts, and the text "
            f"'007' is not the number 7"
        )
    for integers in (column, known):
        if pa.types.is_integer(integers.type) and len(integers):
            ends = pc.min_max(integers).as_py()
            if max(abs(end or 0) for end in ends.values()) > _LARGEST:
                raise InvalidData(
                    f"{where} has values of type {type_name(column)!r}, and column {name!r} of the "
                    f"joined table has values of type {type_name(known)!r}: floats would round the "
                    f"integers above 2**53. Convert both columns to integers or to texts"
                )
    return pc.cast(column, pa.float64()), pc.cast(known, pa.float64())
