"""The raw rows that a selection or named splits choose, partition by partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from storage.ingestion.cells import text_at
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.rows import Rows
from storage.ingestion.selection import RowSelection
from storage.ingestion.splits import Splits
from storage.ingestion.tally import EXAMPLES

__all__ = ["select_rows"]


def select_rows(
    selection: RowSelection | Splits, rows: Sequence[LazyRows], columns: Sequence[str]
) -> list[LazyRows]:
    """Return the selected rows of each partition, with these columns."""
    select = partial(_selected, selection, tuple(columns))
    return [partition.then(select) for partition in rows]


def _selected(selection: RowSelection | Splits, columns: Sequence[str], rows: Rows) -> Rows:
    values = rows.table.column(selection.column)
    chosen = selection.chosen(values)
    gaps = np.flatnonzero(chosen.missing).tolist()
    return replace(
        rows,
        table=rows.table.select([*columns]).filter(pa.array(chosen.selected)),
        positions=np.flatnonzero(chosen.selected),
        splits=None if chosen.splits is None else chosen.splits[chosen.selected],
        n_outside=int(np.count_nonzero(~chosen.selected & ~chosen.missing)),
        unassigned=tuple(rows.number(row) - rows.first for row in gaps),
        unassigned_values=tuple(text_at(values, row) for row in gaps[:EXAMPLES]),
    )
