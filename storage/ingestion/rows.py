"""Rows of a source as they are before anything is checked, and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from storage.errors import InvalidData

__all__ = ["Rows", "check_names", "nth_besides", "table_of_frame"]


@dataclass(frozen=True)
class Rows:
    """The rows of one partition.

    Attributes
    ----------
    table : pyarrow.Table
        The columns that were asked for, by name.
    file : str
        Where they come from: a file, or what else they are part of.
    unit : {"line", "row"}
        What `file` is counted in.
    n_units : int
        How many of these the partition has; the next of the same file begins behind them.
    first : int
        Number of the partition's first row, if it began the file.
    malformed : tuple of (int, str)
        Lines with too many or too few fields, which are not in the table, and their numbers
        within the partition, from 0.
    empty : tuple of int
        Numbers of the lines that hold nothing, which are not in the table either.
    """

    table: pa.Table
    file: str
    unit: str
    n_units: int
    first: int = 1
    malformed: tuple[tuple[int, str], ...] = ()
    empty: tuple[int, ...] = ()

    def number(self, row: int) -> int:
        """Number of a row of the table within the partition, all lines counted."""
        besides = sorted([*self.empty, *(number for number, _ in self.malformed)])
        return nth_besides(besides, row) + self.first


def nth_besides(besides: Sequence[int], n: int) -> int:
    """The n-th of the numbers 0, 1, ... that are not among these, which are in order."""
    for each in besides:
        if each > n:
            break
        n += 1
    return n


def check_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of columns, each of which must be there once."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidData(
            f"{where} has {Counter(names)[twice[0]]} columns called {twice[0]!r}: give each column "
            f"a name of its own"
        )
    return tuple(names)


def table_of_frame(frame: Any, columns: Sequence[str], where: str) -> pa.Table:
    """Columns of a pandas frame, by their names as text; the index is no column.

    A column of Python objects that are no texts becomes text, so that each of its values is
    checked for itself.
    """
    by_name = {str(label): label for label in frame.columns}
    missing = [name for name in columns if name not in by_name]
    if missing:
        raise InvalidData(
            f"{where} has no column {missing[0]!r}: its columns are {', '.join([*by_name][:8])}"
        )
    return pa.table({name: _arrow(frame[by_name[name]]) for name in columns})


def _arrow(series: Any) -> Any:
    if type(series.dtype).__name__ == "SparseDtype":
        series = series.sparse.to_dense()
    try:
        found = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        missing = series.isna()
        found = pa.array(
            [None if gap else str(each) for each, gap in zip(series, missing, strict=True)],
            pa.large_string(),
        )
    return found
