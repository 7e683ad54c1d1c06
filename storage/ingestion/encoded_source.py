"""Two passes over a raw source: one that counts everything, one that encodes the rows lazily."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed

from storage.computing import compute
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.lookup import Lookup, columns_to_read
from storage.ingestion.pieces import encoded_arrays
from storage.ingestion.plan import check_names
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.refusal import refuse_broken
from storage.ingestion.rows import Rows
from storage.ingestion.selection import RowSelection, select_rows
from storage.ingestion.sources import Source
from storage.ingestion.tally import Tally, joined, tally_rows

__all__ = ["EncodedSource", "encode_source", "read_rows", "tallies_of"]


@dataclass(frozen=True)
class EncodedSource:
    """The rows of a source after the first pass.

    Attributes
    ----------
    recipe : Recipe
        The steps from raw rows to X and y.
    report : QualityReport
        What was found in the raw rows.
    X, y : dask.array.Array
        The kept rows; they are encoded when they are computed.
    """

    recipe: Recipe
    report: QualityReport
    X: DaskArray
    y: DaskArray


def encode_source(
    source: Source,
    plan: Mapping[str, Column],
    given: Recipe | None,
    rows: RowSelection | None,
    csv: CSVFormat | None,
    joins: tuple[Lookup, ...] = (),
) -> EncodedSource:
    """Count the rows of a source, and return them encoded.

    Parameters
    ----------
    source : Source
        The raw rows.
    plan : dict of str to Column
        The rules of each column that is used, the target last.
    given : Recipe or None
        The steps of a stored data set; None means that they are made from the counts.
    rows : HashSplit, TimeSplit or None
        The rows that are used; None means all.
    csv : CSVFormat or None
        How CSV files are written.
    joins : tuple of Lookup
        The tables to join; those of `given` if steps are given.

    Raises
    ------
    InvalidData
        When raw data cannot be read, or break a rule whose policy is an error.
    """
    if rows is not None:
        check_names(source, [rows.column])
    joins = given.joins if given is not None else joins
    columns = columns_to_read([*plan], joins)
    tallies = tallies_of(read_rows(source, rows, columns), plan, joins)
    tally = joined(tallies, plan)
    refuse_broken(tally, plan, joins, csv, declared_here=given is None)
    recipe = given or Recipe.fitted(plan, tally, joins)
    description = source.description if rows is None else f"{source.description}, {rows}"
    report = QualityReport.of(description, recipe.target.name, plan, joins, tally)
    X, y = encoded_arrays(
        recipe, read_rows(source, rows, columns), [counts.n_kept for counts in tallies]
    )
    return EncodedSource(recipe, report, X, y)


def tallies_of(
    rows: Sequence[Delayed], plan: Mapping[str, Column], joins: tuple[Lookup, ...]
) -> list[Tally]:
    """Count the rows of each partition, on the active cluster or on threads.

    Parameters
    ----------
    rows : sequence of Delayed Rows
        The raw rows of each partition.
    plan : dict of str to Column
        The rules of each column that is used.
    joins : tuple of Lookup
        The tables to join.
    """
    # One task holds the joined tables, because they may be large.
    shared = delayed(_Joins(joins), name=f"joins-{uuid.uuid4().hex}", traverse=False)
    count = delayed(partial(_tally, plan), traverse=False)
    return list(compute(*(count(shared, partition) for partition in rows)))


@dataclass(frozen=True)
class _Joins:
    """The joined tables, as one object in a graph."""

    tables: tuple[Lookup, ...]


def _tally(plan: Mapping[str, Column], joins: _Joins, rows: Rows) -> Tally:
    return tally_rows(plan, joins.tables, rows)


def read_rows(
    source: Source, selection: RowSelection | None, columns: Sequence[str]
) -> list[Delayed]:
    """Return the rows of each partition, those that are selected."""
    if selection is None:
        return source.rows(columns)
    wanted = [*columns, *({selection.column} - {*columns})]
    return select_rows(selection, source.rows(wanted), columns)
