"""Check the values of one column by its rules, and apply the declared policies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.cells import Mask, read_cells
from storage.ingestion.column import Column, limit

__all__ = ["RULES", "Checked", "check_column"]

#: In the order in which a value is checked.
RULES = ("unparsable", "out_of_range", "unknown", "missing", "duplicates")

#: The missing value of a dtype, by the kind of the dtype.
_NOTHING: dict[str, Any] = {"f": np.nan, "M": np.datetime64("NaT", "us"), "i": -1}


@dataclass(frozen=True)
class Checked:
    """A column whose values have been checked and cleaned, before missing values are imputed.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
        As in :class:`~storage.ingestion.cells.Cells`, after policies made some values missing.
    broken : dict of str to ndarray of bool
        Where each rule is broken; a rule that is broken nowhere has no entry.
    drop : ndarray of bool
        Rows that a policy leaves out.
    texts : tuple of str
        The category or key at each position that `values` names.
    """

    values: npt.NDArray[Any]
    broken: dict[str, Mask]
    drop: Mask
    texts: tuple[str, ...]

    def with_duplicates(self, where: Mask, column: Column) -> Checked:
        """Return the column with a mask of the rows whose value an earlier row has."""
        drop = self.drop | where if column.duplicates == "drop" else self.drop
        return replace(self, broken={**self.broken, "duplicates": where}, drop=drop)


def check_column(
    name: str, array: pa.ChunkedArray, column: Column, categories: tuple[str, ...] | None
) -> Checked:
    """Check the values of a column by its rules.

    Parameters
    ----------
    name : str
        Name of the column, for messages.
    array : pyarrow.ChunkedArray
        Raw values of the column.
    column : Column
        Rules of the column, with a kind.
    categories : tuple of str or None
        The allowed categories; None while they are being counted, and for other kinds.
    """
    assert column.kind is not None
    try:
        cells = read_cells(array, column.kind, column.format)
    except InvalidData as error:
        raise InvalidData(f"column {name!r}: {error}") from error
    values, drop, broken = cells.values, np.zeros(len(cells.values), bool), {}
    outside, values = _out_of_range(values, cells.unparsable, column)
    found = {"unparsable": cells.unparsable, "out_of_range": outside}
    if categories is not None:
        known = set(categories)
        # A missing value has the position -1: it takes the last entry.
        strange = np.array([*(text not in known for text in cells.texts), False])
        found["unknown"] = strange[values]
    gaps = cells.missing & ~cells.unparsable
    for rule, where in found.items():
        if not where.any():
            continue
        broken[rule] = where
        policy = getattr(column, rule)
        if policy == "drop":
            drop |= where
        elif policy == "missing":
            gaps = gaps | where
    if gaps.any():
        broken["missing"] = gaps
        if column.missing == "drop":
            drop |= gaps
        values = values.copy()
        values[gaps] = _NOTHING[values.dtype.kind]
    return Checked(values, broken, drop, cells.texts)


def _out_of_range(
    values: npt.NDArray[Any], unparsable: Mask, column: Column
) -> tuple[Mask, npt.NDArray[Any]]:
    assert column.kind is not None
    outside = np.zeros(len(values), bool)
    for bound, beyond in ((column.minimum, np.less), (column.maximum, np.greater)):
        if bound is None:
            continue
        edge = limit(bound, column.kind)
        where = beyond(values, edge) & ~unparsable
        outside |= where
        if column.out_of_range == "clip" and where.any():
            values = np.where(where, edge, values)
    return outside, values
