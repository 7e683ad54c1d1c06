"""Raw rows whose values were checked by the rules of their columns, and the clean ones of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.ingestion.cells import Mask
from storage.ingestion.column import Column
from storage.ingestion.lookup import Lookup, joined_rows
from storage.ingestion.rules import Checked, check_column
from storage.ingestion.value_hashes import Hashes, compared_names, hashes_of_rows

__all__ = ["CheckedRows", "CleanColumn", "CleanRows"]


@dataclass(frozen=True)
class CleanColumn:
    """Values of one column in the kept rows, before missing values are imputed.

    Attributes
    ----------
    values : ndarray of shape (n_kept,)
        As in :class:`~storage.ingestion.rules.Checked`.
    missing : ndarray of bool of shape (n_kept,) or None
        Where a value is missing; None if no value is.
    texts : tuple of str
        The category at each position that `values` names.
    """

    values: npt.NDArray[Any]
    missing: Mask | None
    texts: tuple[str, ...]


@dataclass(frozen=True)
class CleanRows:
    """The kept rows of a partition.

    Attributes
    ----------
    columns : dict of str to CleanColumn
        The columns.
    n_rows : int
        Number of rows.
    hashes : ndarray of uint64 of shape (n_rows, n_words) or None
        The hashes of the values that no two rows may share; None if there are none.
    """

    columns: Mapping[str, CleanColumn]
    n_rows: int
    hashes: Hashes | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all values, masks and hashes."""
        return self.hashes_nbytes + sum(
            each.values.nbytes + (0 if each.missing is None else each.missing.nbytes)
            for each in self.columns.values()
        )

    @property
    def hashes_nbytes(self) -> int:
        """Bytes of the hashes."""
        return 0 if self.hashes is None else self.hashes.nbytes

    def __sizeof__(self) -> int:
        """Return the bytes in memory: Dask moves the largest results to disk if memory is short."""
        return object.__sizeof__(self) + self.nbytes

    def part(self, start: int, stop: int) -> CleanRows:
        """Return the rows from `start` up to `stop`."""
        columns = {
            name: CleanColumn(
                each.values[start:stop],
                None if each.missing is None else each.missing[start:stop],
                each.texts,
            )
            for name, each in self.columns.items()
        }
        hashes = None if self.hashes is None else self.hashes[start:stop]
        return CleanRows(columns, min(stop, self.n_rows) - start, hashes)


@dataclass(frozen=True)
class CheckedRows:
    """The rows of a partition, with the result of each rule.

    Attributes
    ----------
    table : pyarrow.Table
        The raw values, with the columns of the joined tables.
    columns : dict of str to Checked
        The checked values.
    unmatched : tuple of ndarray of bool of shape (n_rows,)
        For each joined table, the rows whose key the table does not have.
    kept : ndarray of bool of shape (n_rows,)
        The rows that no policy leaves out.
    keys : frozenset of str
        The columns that only identify rows, and are not stored.
    compared : tuple of str
        The columns that forbid duplicates.
    """

    table: pa.Table
    columns: Mapping[str, Checked]
    unmatched: tuple[Mask, ...]
    kept: Mask
    keys: frozenset[str] = frozenset()
    compared: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Column],
        joins: Sequence[Lookup],
        table: pa.Table,
        where: str,
        duplicates: Mapping[str, Mask] = MappingProxyType({}),
    ) -> CheckedRows:
        """Join the tables to raw rows, and check the values of these columns.

        Parameters
        ----------
        columns : dict of str to Column
            The columns and their rules. If a column declares its categories, all others break the
            rule ``unknown``.
        joins : sequence of Lookup
            The tables to join.
        table : pyarrow.Table
            The raw values.
        where : str
            Where the rows come from, for messages.
        duplicates : dict of str to ndarray of bool of shape (n_rows,)
            By column, the rows whose value an earlier row has.
        """
        table, unmatched = joined_rows(joins, table, where)
        checked = {
            name: check_column(name, table.column(name), column, _declared(column))
            for name, column in columns.items()
        }
        for name, where_repeated in duplicates.items():
            checked[name] = checked[name].with_duplicates(where_repeated, columns[name])
        drop = np.zeros(table.num_rows, bool)
        for each in checked.values():
            drop |= each.drop
        for join, mask in zip(joins, unmatched, strict=True):
            if join.unmatched == "drop":
                drop |= mask
        keys = frozenset(name for name, column in columns.items() if column.kind == "key")
        return cls(table, checked, tuple(unmatched), ~drop, keys, compared_names(columns))

    def clean(self, *, hashed: bool = True) -> CleanRows:
        """Return the values of the kept rows, without keys, which are not stored.

        Parameters
        ----------
        hashed : bool, default=True
            Whether the rows get the hashes of the columns that forbid duplicates.
        """
        everything = bool(self.kept.all())

        def chosen(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values if everything else values[self.kept]

        columns = {
            name: CleanColumn(
                chosen(each.values),
                chosen(each.broken["missing"]) if "missing" in each.broken else None,
                each.texts,
            )
            for name, each in self.columns.items()
            if name not in self.keys
        }
        rows = np.flatnonzero(self.kept)
        hashes = None
        if hashed and self.compared:
            hashes = hashes_of_rows(self.columns, self.compared, rows)
        return CleanRows(columns, len(rows), hashes)


def _declared(column: Column) -> tuple[str, ...] | None:
    return None if column.categories is None else tuple(column.categories)
