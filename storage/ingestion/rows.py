"""Raw rows of a source, before any check, and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.errors import InvalidData
from storage.messages import first_texts, short_text

__all__ = [
    "NOT_ARROWS",
    "Rows",
    "arrow_texts",
    "check_names",
    "no_column_of",
    "nth_unskipped",
    "table_of_frame",
]

#: Errors of Arrow for values that have no type in common, or none at all.
NOT_ARROWS = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    OverflowError,
    UnicodeEncodeError,
)


@dataclass(frozen=True)
class Rows:
    """The rows of one partition.

    Attributes
    ----------
    table : pyarrow.Table
        The requested columns, by name.
    file : str
        Where the rows come from: a file, or a name for data in memory.
    unit : {"line", "row"}
        What a position in `file` counts.
    n_units : int
        Lines or rows of the partition. The next partition of the same file begins after them.
    first : int
        Number that the first row of the partition has, if the partition begins the file. Rows
        count from 0, as in NumPy and pandas; lines of a text file from 1, as in editors.
    malformed : tuple of (int, str)
        Numbers (from 0, within the partition) and texts of the lines with too many or too few
        fields. These lines are not in the table.
    empty : tuple of int
        Numbers of the empty lines, which are not in the table either.
    positions : ndarray of int or None
        Positions of the table's rows among all rows that were read, if a split selected some.
    splits : ndarray of int or None
        For each row of the table the number of its split, if the rows are divided.
    n_outside : int
        Number of rows that are not selected, though they have a value to select by.
    unassigned : tuple of int
        Numbers (from 0, within the partition) of the lines or rows that no split selects, because
        the value to select by is missing or cannot be read.
    unassigned_values : tuple of (str or None)
        The texts of these values, for the first few lines or rows.
    numbers : frozenset of str
        Columns of a text that the table may hold as numbers.
    as_texts : callable or None
        Reads columns of the same partition as texts; None if `numbers` is empty.
    duplicates : dict of str to ndarray of bool
        By column, the rows of the table whose value an earlier row of the source has.
    """

    table: pa.Table
    file: str
    unit: str
    n_units: int
    first: int = 0
    malformed: tuple[tuple[int, str], ...] = ()
    empty: tuple[int, ...] = ()
    positions: npt.NDArray[np.intp] | None = None
    splits: npt.NDArray[np.int8] | None = None
    n_outside: int = 0
    unassigned: tuple[int, ...] = ()
    unassigned_values: tuple[str | None, ...] = ()
    numbers: frozenset[str] = frozenset()
    as_texts: Callable[[Sequence[str]], Rows] | None = None
    duplicates: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def __sizeof__(self) -> int:
        """Return the bytes in memory: Dask moves the largest results to disk if memory is short."""
        return object.__sizeof__(self) + int(self.table.nbytes)

    def number(self, row: int) -> int:
        """Return the line or row number, within the partition, of a row of the table."""
        if self.positions is not None:
            row = int(self.positions[row])
        skipped = sorted([*self.empty, *(number for number, _ in self.malformed)])
        return nth_unskipped(skipped, row) + self.first

    def in_split(self, number: int) -> Rows:
        """Return the rows of one split; all rows if they are not divided."""
        if self.splits is None:
            return self
        mask = self.splits == number
        return replace(
            self,
            table=self.table.filter(pa.array(mask)),
            positions=None if self.positions is None else self.positions[mask],
            splits=None,
            duplicates={name: each[mask] for name, each in self.duplicates.items()},
        )

    def as_written(self, columns: Sequence[str]) -> Rows:
        """Return the rows with some columns as they are written, for messages.

        Columns that were read as numbers are read again, as texts.
        """
        names = [name for name in columns if name in self.numbers]
        if not names or self.as_texts is None:
            return self
        texts = self.as_texts(names).table
        if self.positions is not None:
            texts = texts.take(pa.array(self.positions))
        table = self.table
        for name in names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, texts.column(name))
        return replace(self, table=table)


def nth_unskipped(skipped: Sequence[int], n: int) -> int:
    """Return the n-th of the numbers 0, 1, ... that are not in the sorted `skipped`."""
    for each in skipped:
        if each > n:
            break
        n += 1
    return n


def check_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names of columns; refuse a name that occurs twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidData(
            f"{where} has {Counter(names)[twice[0]]} columns called {twice[0]!r}: give each column "
            f"a name of its own"
        )
    return tuple(names)


def table_of_frame(frame: Any, columns: Sequence[str], where: str) -> pa.Table:
    """Return columns of a pandas frame, by their names as text, without the index.

    A column of Python objects of several types becomes text, so that each of its values is checked
    on its own.
    """
    by_name = {str(label): label for label in frame.columns}
    missing = [name for name in columns if name not in by_name]
    if missing:
        raise InvalidData(
            f"{where} has no column {missing[0]!r}: its columns are {first_texts(by_name, 8)}"
        )
    return pa.table(
        {name: _arrow(frame[by_name[name]], f"column {name!r} of {where}") for name in columns}
    )


def _arrow(series: Any, where: str) -> Any:
    if type(series.dtype).__name__ == "SparseDtype":
        series = series.sparse.to_dense()
    try:
        found = pa.Array.from_pandas(series)
    except NOT_ARROWS as error:
        if series.dtype.kind == "c":
            raise InvalidData(f"{where} has {no_column_of(series.dtype)}") from error
        found = arrow_texts(series, series.isna(), where)
    return found


def no_column_of(dtype: Any) -> str:
    """Return why a column cannot have a dtype, and what to do."""
    return (
        f"the dtype {dtype}, which no column can have: convert it to numbers, or leave the column "
        f"out with features="
    )


def arrow_texts(values: Iterable[Any], missing: Iterable[Any], where: str) -> pa.Array:
    """Return Python objects of several types as texts, and missing ones as null.

    Raises
    ------
    InvalidData
        When a text holds characters that are not Unicode, such as halves of surrogate pairs.
    """
    texts = [None if gap else str(each) for each, gap in zip(values, missing, strict=True)]
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise InvalidData(
            f"{where} has the text {short_text(ascii(error.object))}, which is not Unicode: "
            f"decode its bytes with another encoding, or replace the character"
        ) from error
