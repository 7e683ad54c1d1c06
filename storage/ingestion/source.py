"""A source of raw rows: names of columns, and partitions that can be read repeatedly."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from dask.delayed import Delayed

from storage.computing import compute
from storage.frames import is_frame
from storage.ingestion.csv_files import CSVBlock
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.numpy_arrays import ArrayPiece
from storage.ingestion.rows import Rows, table_of_frame
from storage.ingestion.source_files import ListedFiles

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Partitions of raw rows, which can be read repeatedly.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    description : str
        The source in words, for messages and the report.
    texts : frozenset of str
        The columns whose texts are read to infer their kinds, as in CSV. The types of the others
        show their kinds.
    partitions : tuple of (callable or Delayed) or Dask DataFrame
        For each partition, a function that reads the columns whose names it is given, or a delayed
        block; or a frame.
    sample : tuple of (callable or Delayed) or Dask DataFrame
        The same for the few rows that kinds are inferred from.
    identity : str
        Text that changes if the rows change: names, sizes and times of files, or the identity of a
        data set. Empty for rows in memory and Dask DataFrames.
    sizes : tuple of (int or None)
        Bytes of text of each partition, None if unknown; empty for sources that are not text.
    lengths : tuple of int or None
        Rows of each partition; None if they are not known before the rows are read.
    files : ListedFiles or None
        The files that are read, as they were when they were listed; None for other sources.
    """

    names: tuple[str, ...]
    description: str
    texts: frozenset[str]
    partitions: Any
    sample: Any
    identity: str = ""
    sizes: tuple[int | None, ...] = ()
    lengths: tuple[int, ...] | None = None
    files: ListedFiles | None = None

    @property
    def may_share_tasks(self) -> bool:
        """Whether partitions are lazy, so that the graph of one may have tasks of others."""
        return is_frame(self.partitions) or any(isinstance(p, Delayed) for p in self.partitions)

    def rows(self, columns: Sequence[str], *, of_sample: bool = False) -> list[LazyRows]:
        """Return the lazy rows of each partition, with these columns."""
        return [
            LazyRows(partial(_rows_of_partition, tuple(columns), number), (each,))
            if isinstance(each, Delayed)
            else LazyRows(partial(each, tuple(columns)))
            for number, each in enumerate(self._partitions(columns, of_sample=of_sample))
        ]

    def reading_numbers(self, names: frozenset[str]) -> Source:
        """Return the source, which reads these columns of CSV files as numbers at once."""
        if is_frame(self.partitions):
            return self
        partitions = tuple(
            replace(each, numbers=names) if isinstance(each, CSVBlock) else each
            for each in self.partitions
        )
        return replace(self, partitions=partitions)

    def loaded(self, columns: Sequence[str], *, of_sample: bool = False) -> tuple[Rows, ...]:
        """Read the rows of each partition, with these columns."""
        name = f"read-{uuid.uuid4().hex}"
        lazy = self.rows(columns, of_sample=of_sample)
        rows: tuple[Rows, ...] = compute(
            *(each.reading((name, number)) for number, each in enumerate(lazy))
        )
        return rows

    def _partitions(self, columns: Sequence[str], *, of_sample: bool) -> Any:
        given = self.sample if of_sample else self.partitions
        if not is_frame(given):
            return given
        # From Parquet, for example, Dask then reads no other columns.
        labels = {str(label): label for label in given.columns}
        chosen = given[[labels[name] for name in columns]].to_delayed()
        return chosen[:1] if of_sample else chosen


def _rows_of_partition(columns: Sequence[str], number: int, frame: Any) -> Rows:
    where = f"partition {number}"
    if isinstance(frame, np.ndarray):
        return ArrayPiece(frame, where)(columns)
    return Rows(table_of_frame(frame, columns, where), where, "row", len(frame))
