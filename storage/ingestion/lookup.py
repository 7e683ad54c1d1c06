"""A joined table: checked, indexed by its key, and stored with the steps of a data set."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import InvalidData
from storage.ingestion.cells import Mask, as_texts
from storage.ingestion.join import Unmatched
from storage.ingestion.keys import TYPES, KeyIndex, one_array, plain_array, type_name
from storage.messages import short_text
from storage.plain_values import from_plain

__all__ = ["MAX_NBYTES", "JoinedRows", "Lookup", "columns_to_read", "joined_rows"]

#: Most bytes of all joined tables of a data set in memory. Without a limit, a file of a few
#: kilobytes could be unpacked to many gigabytes.
MAX_NBYTES = 256 * 2**20
# A value counts for so many bytes, besides the bytes of its text.
_VALUE_NBYTES = 8
#: How the values of each type are stored; texts as positions among the distinct texts.
_STORED: dict[str, np.dtype[Any]] = {
    "text": np.dtype("<i4"),
    "integer": np.dtype("<i8"),
    "float": np.dtype("<f8"),
    "truth value": np.dtype("u1"),
    "time": np.dtype("<i8"),
    "time with a zone": np.dtype("<i8"),
    "nothing": np.dtype("u1"),
}


@dataclass(frozen=True)
class _StoredColumn:
    """One column of a stored table: compressed values, and a compressed mask of missing ones."""

    name: str
    type: str
    values: str
    missing: str
    texts: tuple[str, ...] | None = None

    @classmethod
    def of(cls, name: str, array: pa.Array) -> _StoredColumn:
        kind, texts = type_name(array), None
        missing = array.is_null().to_numpy(zero_copy_only=False)
        if kind == "text":
            coded = pc.dictionary_encode(array)
            texts, array = tuple(coded.dictionary.to_pylist()), coded.indices
        elif kind == "nothing":
            array = pa.array(np.zeros(len(array), np.uint8))
        elif kind in ("time", "time with a zone"):
            array = pc.cast(array, pa.int64())
        elif kind == "truth value":
            array = pc.cast(array, pa.uint8())
        numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).astype(_STORED[kind])
        return cls(name, kind, _packed(numbers), _packed(np.packbits(missing)), texts)

    def to_array(self, n_rows: int, room: int) -> pa.Array:
        """Return the values, if they take at most `room` bytes.

        Raises
        ------
        ValueError, LookupError
            When they are damaged, or take more bytes.
        """
        _check_room(_VALUE_NBYTES * n_rows, room)
        values = _unpacked(self.values, _STORED[self.type], n_rows)
        bits = _unpacked(self.missing, np.dtype("u1"), -(-n_rows // 8))
        missing = np.unpackbits(bits, count=n_rows).astype(bool)
        if self.type == "nothing":
            return pa.nulls(n_rows)
        if self.type == "text":
            texts = pa.array(self.texts or (), pa.large_string())
            sizes = pc.binary_length(texts).to_numpy()
            _check_room(_VALUE_NBYTES * n_rows + int(sizes[values[~missing]].sum()), room)
            return texts.take(pa.array(values, mask=missing))
        if self.type == "truth value":
            return pa.array(values.astype(bool), mask=missing)
        return pc.cast(pa.array(values, mask=missing), TYPES[self.type])


def _check_room(nbytes: int, room: int) -> None:
    if not 0 <= nbytes <= room:
        raise ValueError(f"joined tables have at most {MAX_NBYTES:,} bytes, and these have more")


def _packed(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes())).decode()


def _unpacked(text: str, dtype: np.dtype[Any], n_values: int) -> npt.NDArray[Any]:
    nbytes = n_values * dtype.itemsize
    try:
        # One byte more than allowed, so that a longer content is noticed without unpacking it.
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), nbytes + 1)
    except zlib.error as error:
        raise ValueError(f"a joined table cannot be unpacked: {error}") from error
    if len(content) != nbytes:
        raise ValueError(f"a column of a joined table has other than {n_values:,} values")
    return np.frombuffer(content, dtype)


class JoinedRows(NamedTuple):
    """Raw rows with the columns of all joined tables, and a mask of unmatched rows per table."""

    table: pa.Table
    unmatched: tuple[Mask, ...]


@dataclass(frozen=True)
class Lookup:
    """A joined table.

    Attributes
    ----------
    name : str
        The table in words, for messages and the report.
    left_on, right_on : tuple of str
        The columns of the key in the raw rows and in the table.
    unmatched : {"error", "drop", "keep"}
        Policy for rows without a match.
    keys : pyarrow.Table
        The columns of the key.
    added : pyarrow.Table
        The columns that are added to the raw rows.
    """

    name: str
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    unmatched: Unmatched
    keys: pa.Table
    added: pa.Table

    @cached_property
    def _index(self) -> KeyIndex:
        columns = [_plain(self.keys, name, self.name) for name in self.right_on]
        return KeyIndex.of(self.right_on, columns)[0]

    def positions(self, rows: pa.Table, where: str) -> npt.NDArray[np.int64]:
        """Return the row of the table for each raw row; -1 for unmatched rows.

        Raises
        ------
        InvalidData
            When a column of the key has another type than in the table.
        """
        columns = [_plain(rows, name, where) for name in self.left_on]
        return self._index.find(columns, self.left_on, where)

    def refuse_unmatched(self, rows: pa.Table, unmatched: Mask, where: str) -> None:
        """Raise an error if some raw rows are unmatched, and the policy is an error.

        Raises
        ------
        InvalidData
            The message names the first such row.
        """
        wrong = np.flatnonzero(unmatched)
        if self.unmatched == "error" and len(wrong):
            row = int(wrong[0])
            key = self.key_text(rows, row)
            raise InvalidData(
                f"row {row:,} of {where} has the {self.key_name} {key and short_text(key)!r}, "
                f"which {self.name} does not have. It was joined with unmatched='error'"
            )

    @property
    def key_name(self) -> str:
        """The columns of the key in the raw rows, in words."""
        return f"key ({', '.join(self.left_on)})"

    def key_text(self, rows: pa.Table, row: int) -> str | None:
        """Return the key of a raw row for a message; None if it is missing."""
        texts = [as_texts(rows.column(name).slice(row, 1).combine_chunks()).to_pylist()[0]
                 for name in self.left_on]  # fmt: skip
        if len(texts) == 1:
            return None if texts[0] is None else str(texts[0])
        return ", ".join("nothing" if text is None else text for text in texts)

    def to_json(self) -> dict[str, Any]:
        """Return the table and its key as plain values, for JSON."""
        columns = [
            asdict(_StoredColumn.of(name, _plain(table, name, self.name)))
            for table in (self.keys, self.added)
            for name in table.column_names
        ]
        return {
            "name": self.name,
            "left_on": self.left_on,
            "right_on": self.right_on,
            "unmatched": self.unmatched,
            "n_rows": self.keys.num_rows,
            "columns": columns,
        }

    @property
    def nbytes(self) -> int:
        """Bytes that the table counts for, at least as many as it takes."""
        columns = [*self.keys.columns, *self.added.columns]
        return sum(column.nbytes + _VALUE_NBYTES * len(column) for column in columns)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], room: int = MAX_NBYTES) -> Lookup:
        """Return the table with these plain values, if it takes at most `room` bytes.

        Raises
        ------
        ValueError, TypeError, LookupError
            When they are damaged, or take more bytes.
        """
        stored = from_plain(_StoredTable, plain)
        columns = {}
        for column in stored.columns:
            columns[column.name] = column.to_array(stored.n_rows, room)
            room -= columns[column.name].nbytes
        if not stored.right_on or len(stored.right_on) != len(stored.left_on):
            raise ValueError("the key of a joined table is not named")
        if len(columns) < len(stored.columns):
            raise ValueError("the columns of a joined table are not distinct")
        keys = pa.table({name: columns.pop(name) for name in stored.right_on})
        _, repeated = KeyIndex.of(stored.right_on, [*map(one_array, keys.columns)])
        if len(repeated):
            raise ValueError("a key occurs twice in a joined table")
        return cls(
            stored.name, stored.left_on, stored.right_on, stored.unmatched, keys, pa.table(columns)
        )


@dataclass(frozen=True)
class _StoredTable:
    """What the file of the steps holds of a joined table."""

    name: str
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    unmatched: Unmatched
    n_rows: int
    columns: tuple[_StoredColumn, ...]


def _plain(table: pa.Table, name: str, where: str) -> pa.Array:
    return plain_array(table.column(name), f"column {name!r} of {where}")


def columns_to_read(names: Sequence[str], lookups: Sequence[Lookup]) -> tuple[str, ...]:
    """Return the raw columns from which joins give all columns with these names."""
    added: set[str] = set()
    keys: list[str] = []
    for lookup in lookups:
        keys += [name for name in lookup.left_on if name not in added]
        added.update(lookup.added.column_names)
    return tuple(dict.fromkeys([*(name for name in names if name not in added), *keys]))


def joined_rows(lookups: Sequence[Lookup], rows: pa.Table, where: str) -> JoinedRows:
    """Add the columns of joined tables to raw rows, one table after the other.

    Parameters
    ----------
    lookups : sequence of Lookup
        The joined tables.
    rows : pyarrow.Table
        Raw rows with the columns of the keys.
    where : str
        The raw rows in words, for messages.

    Raises
    ------
    InvalidData
        When a column of a key has another type than in the table.
    """
    masks = []
    for lookup in lookups:
        positions = lookup.positions(rows, where)
        unmatched = positions < 0
        taken = lookup.added.take(pa.array(positions, mask=unmatched))
        for name in taken.column_names:
            rows = rows.append_column(name, taken.column(name))
        masks.append(unmatched)
    return JoinedRows(rows, tuple(masks))
