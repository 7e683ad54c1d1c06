"""Load the tables to join, and check that each key occurs once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.join import Join
from storage.ingestion.keys import KeyIndex, one_array, plain_array
from storage.ingestion.lookup import MAX_NBYTES, Lookup
from storage.ingestion.rows import Rows
from storage.ingestion.source import Source
from storage.ingestion.source_files import paths_of
from storage.ingestion.sources import PARTITION_NBYTES, source_of
from storage.messages import first_texts, short_text

__all__ = ["JoinedTable", "load_tables"]

_SHOWN = 3


@dataclass(frozen=True)
class JoinedTable:
    """A table to join, as it was read.

    Attributes
    ----------
    lookup : Lookup
        The table, indexed by its key.
    rows : Rows
        The added columns with their raw types, which show the kinds of the columns.
    texts : frozenset of str
        Columns whose values are texts that may mean something else, as in CSV.
    """

    lookup: Lookup
    rows: Rows
    texts: frozenset[str]


def load_tables(joins: Sequence[Join], source: Source) -> tuple[JoinedTable, ...]:
    """Load all tables to join, in their order.

    Raises
    ------
    InvalidData
        When a table lacks a column, has a key twice, or adds a column that is already there.
    TypeError
        When something else than a Join is given, or a table is lazy.
    """
    names, tables = list(source.names), []
    for number, join in enumerate(joins):
        if not isinstance(join, Join):
            raise TypeError(f"joins[{number}] must be a storage.Join, got {join!r}")
        for name in join.left_key:
            if name not in names:
                raise InvalidData(
                    f"{source.description} has no column {name!r}, the key of joins[{number}]: its "
                    f"columns are {first_texts(names, 8)}"
                )
        table = _load(join, names, number)
        names += table.lookup.added.column_names
        tables.append(table)
        nbytes = sum(loaded.lookup.nbytes for loaded in tables)
        if nbytes > MAX_NBYTES:
            raise InvalidData(
                f"the joined tables have {nbytes:,} bytes with {table.lookup.name}, and at most "
                f"{MAX_NBYTES:,} are allowed: choose fewer columns=, or merge the tables with Dask "
                f"and ingest the merged frame"
            )
    return tuple(tables)


def _load(join: Join, names: Sequence[str], number: int) -> JoinedTable:
    raw = source_of(join.table, None, PARTITION_NBYTES)
    if raw.may_share_tasks and paths_of(join.table) is None:
        raise TypeError(
            f"the table of joins[{number}] is a lazy {type(join.table).__name__}, and a joined "
            f"table is held in memory: give table.compute() if it fits"
        )
    where = join.name or raw.description
    if join.name is None and isinstance(join.table, str | os.PathLike):
        where = os.path.basename(os.fspath(join.table).rstrip("/"))
    columns = _columns(join, raw, where)
    taken = [name for name in columns if name in names]
    if taken:
        raise InvalidData(
            f"{where} adds the column {taken[0]!r}, and the rows already have a column of this "
            f"name: choose the columns to add with columns=, or rename it"
        )
    parts = raw.loaded([*join.right_key, *columns])
    malformed = [part for part in parts if part.malformed]
    if malformed:
        part = malformed[0]
        raise InvalidData(
            f"{part.file} has a line with too many or too few fields: "
            f"{short_text(part.malformed[0][1])!r}"
        )
    table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    plain = pa.table(
        {name: plain_array(table.column(name), f"column {name!r} of {where}")
         for name in table.column_names}
    )  # fmt: skip
    keys = plain.select([*join.right_key])
    _refuse_repeated(keys, parts, where)
    lookup = Lookup(
        where, join.left_key, join.right_key, join.unmatched, keys, plain.select(columns)
    )
    rows = Rows(table.select(columns), where, "row", table.num_rows)
    return JoinedTable(lookup, rows, raw.texts)


def _columns(join: Join, raw: Source, where: str) -> list[str]:
    for name in (*join.right_key, *(join.columns or ())):
        if name not in raw.names:
            raise InvalidData(
                f"{where} has no column {name!r}: its columns are {first_texts(raw.names, 8)}"
            )
    columns = [*(join.columns or (name for name in raw.names if name not in join.right_key))]
    if not columns:
        raise InvalidData(f"{where} has no column but its key: a join adds one or more columns")
    return columns


def _refuse_repeated(keys: pa.Table, parts: Sequence[Rows], where: str) -> None:
    """Raise an error that names the first keys that occur twice, and their rows."""
    columns = [*map(one_array, keys.columns)]
    index, repeated = KeyIndex.of(keys.column_names, columns)
    if not len(repeated):
        return
    lines = []
    for row in repeated[:_SHOWN].tolist():
        key = [column.slice(row, 1) for column in columns]
        first = int(index.find(key, keys.column_names, where)[0])
        values = ", ".join(
            f"{name} {short_text(str(column[0].as_py()))}"
            for name, column in zip(keys.column_names, key, strict=True)
        )
        lines.append(f"{values}: {_place(parts, first)} and {_place(parts, row)}")
    raise InvalidData(
        f"a key must occur once in a joined table, and in {where} {len(repeated):,} rows have the "
        f"key of a row before them:\n  " + "\n  ".join(lines) + "\nRemove one of each, or add "
        "columns to the key"
    )


def _place(parts: Sequence[Rows], row: int) -> str:
    """Return the file and the line or row of a row of all parts together."""
    begun: Counter[str] = Counter()
    for part in parts:
        if row < part.table.num_rows:
            return f"{part.unit} {part.number(row) + begun[part.file]:,} of {part.file}"
        row -= part.table.num_rows
        begun[part.file] += part.n_units
    raise IndexError(row)
