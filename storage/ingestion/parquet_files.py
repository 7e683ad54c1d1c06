"""Parquet files and folders of them, cut into runs of row groups, read by Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pa_dataset

from storage.errors import InvalidData
from storage.ingestion.rows import Rows, check_names

__all__ = ["ParquetPiece", "parquet_pieces"]


@dataclass(frozen=True)
class ParquetPiece:
    """Some row groups of one file.

    Attributes
    ----------
    fragment : pyarrow.dataset.ParquetFileFragment
        The row groups.
    keys : dict of str to str, int or None
        Columns whose values the name of the folder gives, such as ``month=7``.
    empty : bool
        Whether to read no rows.
    """

    fragment: Any
    keys: dict[str, Any]
    empty: bool = False

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column.
        """
        path = self.fragment.path
        schema = self.fragment.physical_schema
        inside = [name for name in columns if name not in self.keys]
        absent = [name for name in inside if name not in schema.names]
        if absent:
            raise InvalidData(
                f"{path} has no column {absent[0]!r}: it has {', '.join(schema.names[:8])}. Leave "
                f"the column out with features=, or ingest the files apart"
            )
        if self.empty:
            table = schema.empty_table().select(inside)
        else:
            table = self.fragment.to_table(schema=schema, columns=inside, use_threads=False)
        n_rows = table.num_rows
        arrays = {
            name: pa.chunked_array([pa.array([self.keys[name]] * max(n_rows, 1)).slice(0, n_rows)])
            if name in self.keys
            else table.column(name)
            for name in columns
        }
        return Rows(pa.table(arrays), path, "row", n_rows)

    def without_rows(self) -> ParquetPiece:
        """Return a piece with the same columns that reads no rows."""
        return replace(self, empty=True)


def parquet_pieces(
    filesystem: Any, paths: Sequence[str], nbytes: int
) -> tuple[list[ParquetPiece], tuple[str, ...]]:
    """Return pieces of about `nbytes` of all files, and the names of the columns.

    Files whose names begin with ``_`` or ``.``, such as ``_SUCCESS``, hold no rows. A folder called
    ``month=7`` gives all its rows a column ``month``.
    """
    pieces: list[ParquetPiece] = []
    names: tuple[str, ...] = ()
    for path in paths:
        try:
            found = pa_dataset.dataset(
                path, format="parquet", filesystem=filesystem, partitioning="hive"
            )
            for fragment in sorted(found.get_fragments(), key=lambda each: str(each.path)):
                keys = dict(pa_dataset.get_partition_keys(fragment.partition_expression))
                names = names or (*fragment.physical_schema.names, *keys)
                pieces += [ParquetPiece(each, keys) for each in _cut(fragment, nbytes)]
        except pa.ArrowInvalid as error:
            reason = str(error).partition("\n")[0]
            raise InvalidData(f"{path} cannot be read as Parquet: {reason}") from error
    return pieces, check_names(names, "the first file")


def _cut(fragment: Any, nbytes: int) -> list[Any]:
    runs: list[list[int]] = []
    size = 0
    for group in fragment.row_groups:
        if not runs or size + group.total_byte_size > nbytes:
            runs.append([])
            size = 0
        runs[-1].append(group.id)
        size += group.total_byte_size
    return [fragment.subset(row_group_ids=run) for run in runs]
