"""A raw source as X and y: a first pass counts everything, and a second one encodes the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dask.array.core import Array as DaskArray

from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.duplicates import Duplicates
from storage.ingestion.first_pass import count_and_keep
from storage.ingestion.kept_files import KeptFiles
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.lookup import Lookup, columns_to_read
from storage.ingestion.pieces import blocks_at_once, encoded_arrays
from storage.ingestion.plan import check_names
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.refusal import refuse_broken
from storage.ingestion.selection import RowSelection, select_rows
from storage.ingestion.source import Source

__all__ = ["EncodedSource", "encode_source", "read_rows", "reader_of"]


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
    blocks_at_once : int or None
        Most blocks that one computation may write; None means all.
    """

    recipe: Recipe
    report: QualityReport
    X: DaskArray
    y: DaskArray
    blocks_at_once: int | None

    @property
    def description(self) -> str:
        """The source in words."""
        return self.report.source


def encode_source(
    source: Source,
    plan: Mapping[str, Column],
    given: Recipe | None,
    rows: RowSelection | None,
    csv: CSVFormat | None,
    joins: tuple[Lookup, ...] = (),
    files: KeptFiles | None = None,
    blocks: Callable[[Recipe, int], Sequence[int]] | None = None,
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
    files : KeptFiles or None
        The folder for rows between the two passes. It is needed until X and y are computed.
    blocks : callable or None
        Takes the steps and the number of kept rows, and returns the number of rows of each block
        that will be written; None means that it is not known.

    Raises
    ------
    InvalidData
        When raw data cannot be read, or break a rule whose policy is an error.
    """
    joins = given.joins if given is not None else joins
    read = reader_of(source, plan, rows, joins)
    columns = columns_to_read([*plan], joins)
    duplicates = Duplicates.of(read, plan, joins)
    counting = duplicates.marked(read(columns))
    tally, n_kept, kept = count_and_keep(counting, source.sizes, plan, joins, files)
    refuse_broken(tally, plan, joins, csv, declared_here=given is None)
    recipe = given or Recipe.fitted(plan, tally, joins)
    description = source.description if rows is None else f"{source.description}, {rows}"
    report = QualityReport.of(description, recipe.target.name, plan, joins, tally)
    again = [kept.get(number, raw) for number, raw in enumerate(duplicates.marked(read(columns)))]
    n_rows = sum(n_kept)
    lengths = blocks(recipe, n_rows) if blocks is not None and n_rows else ()
    X, y = encoded_arrays(recipe, again, n_kept, lengths)
    # Shared tasks would run again in each computation.
    at_once = None if source.may_share_tasks else blocks_at_once()
    return EncodedSource(recipe, report, X, y, at_once)


def reader_of(
    source: Source, plan: Mapping[str, Column], rows: RowSelection | None, joins: Sequence[Lookup]
) -> Callable[[Sequence[str]], list[LazyRows]]:
    """Return a function that returns the raw rows of each partition, with the given columns.

    Raises
    ------
    InvalidData
        When the source lacks the column of the selection.
    """
    if rows is not None:
        check_names(source, [rows.column])
    # Keys and the column of a selection are compared as texts.
    texts = {key for join in joins for key in join.left_on} | ({rows.column} if rows else set())
    columns = columns_to_read([*plan], joins)
    numbers = {name for name in columns if name in plan and plan[name].kind == "number"} - texts
    return partial(read_rows, source.reading_numbers(frozenset(numbers)), rows)


def read_rows(
    source: Source, selection: RowSelection | None, columns: Sequence[str]
) -> list[LazyRows]:
    """Return the lazy rows of each partition, those that are selected."""
    if selection is None:
        return source.rows(columns)
    wanted = [*columns, *({selection.column} - {*columns})]
    return select_rows(selection, source.rows(wanted), columns)
