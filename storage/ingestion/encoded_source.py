"""A raw source as X and y: a first pass counts everything, and a second one encodes the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import methodcaller

from dask.array.core import Array as DaskArray

from storage.errors import InvalidData
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.duplicates import Duplicates
from storage.ingestion.first_pass import FirstPass, count_and_keep
from storage.ingestion.kept_files import KeptFiles
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.lookup import Lookup, columns_to_read
from storage.ingestion.pieces import blocks_at_once, encoded_arrays
from storage.ingestion.plan import check_names
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.refusal import refuse_broken
from storage.ingestion.selected_rows import select_rows
from storage.ingestion.selection import RowSelection
from storage.ingestion.source import Source
from storage.ingestion.source_files import ListedFiles
from storage.ingestion.split_record import SplitRecord
from storage.ingestion.splits import Splits, of_all_splits, without_lines
from storage.ingestion.stored_hashes import StoredHashes
from storage.ingestion.tally import Tally

__all__ = ["EncodedSource", "encode_source", "read_rows", "reader_of", "rows_by_split"]


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
        The kept rows, those of each split together; they are encoded when they are computed.
    hashes : dask.array.Array or None
        The hashes of these rows; None if no column forbids duplicates.
    blocks_at_once : int or None
        Most blocks that one computation may write; None means all.
    splits : SplitRecord or None
        What was found in each split; None if there are no splits.
    files : ListedFiles or None
        Files of which some are read several times, so that they must not change until the end.
    """

    recipe: Recipe
    report: QualityReport
    X: DaskArray
    y: DaskArray
    hashes: DaskArray | None
    blocks_at_once: int | None
    splits: SplitRecord | None = None
    files: ListedFiles | None = None

    @property
    def description(self) -> str:
        """The source in words."""
        return self.report.source


def encode_source(
    source: Source,
    plan: Mapping[str, Column],
    given: Recipe | None,
    rows: RowSelection | Splits | None,
    csv: CSVFormat | None,
    joins: tuple[Lookup, ...] = (),
    files: KeptFiles | None = None,
    blocks: Callable[[Recipe, int], Sequence[int]] | None = None,
    stored: StoredHashes | None = None,
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
    rows : HashSplit, TimeSplit, Splits or None
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
    stored : StoredHashes or None
        The rows that are stored already, for columns that forbid duplicates; None if there are
        none, or the rows of the source are only compared among themselves.

    Raises
    ------
    InvalidData
        When raw data cannot be read, or break a rule whose policy is an error.
    """
    joins = given.joins if given is not None else joins
    read = reader_of(source, plan, rows, joins)
    columns = columns_to_read([*plan], joins)
    duplicates = Duplicates.of(read, plan, joins, stored)
    splits = rows if isinstance(rows, Splits) else None
    counting = _Counting(duplicates.marked(read(columns)), source.sizes, joins, csv, files, splits)
    counted = counting.by(plan)
    whole = of_all_splits(counted.tallies, plan)
    refuse_broken(whole, plan, joins, csv, declared_here=given is None)
    recipe = given
    if recipe is None:
        learned = [
            each for n, each in enumerate(counted.tallies) if not splits or splits.learned(n)
        ]
        if splits is not None:
            splits.check_rows(counted.tallies)
        recipe = Recipe.fitted(plan, of_all_splits(learned, plan), joins)
        if splits is not None:
            counted = counting.with_categories(counted, plan, recipe, splits)
            splits.check_rows(counted.tallies)
            whole = of_all_splits(counted.tallies, plan)
    description = source.description if rows is None else f"{source.description}, {rows}"
    target = recipe.target.name
    report = QualityReport.of(description, target, plan, joins, whole)
    again = duplicates.marked(read(columns))
    parts, n_kept = rows_by_split(counted, again, counting.numbers)
    n_rows = sum(n_kept)
    lengths = blocks(recipe, n_rows) if blocks is not None and n_rows else ()
    arrays = encoded_arrays(recipe, parts, n_kept, lengths)
    found = None
    if splits is not None:
        reports = {
            name: QualityReport.of(f"{description}: {name}", target, plan, joins,
                                   without_lines(tally))
            for name, tally in zip(splits.names, counted.tallies, strict=True)
        }  # fmt: skip
        found = SplitRecord(splits, reports, whole.n_outside)
    # Shared tasks would run again in each computation. But in one computation with several splits,
    # the rows of later splits would wait in memory while those of the first one are written.
    at_once = None if source.may_share_tasks and splits is None else blocks_at_once()
    several = bool(duplicates.partitions) or len(counted.kept) < len(parts)
    listed = source.files if several else None
    return EncodedSource(recipe, report, *arrays, at_once, found, listed)


@dataclass(frozen=True)
class _Counting:
    """How the rows of a source are counted.

    Attributes
    ----------
    rows : list of LazyRows
        The raw rows of each partition, with duplicates marked.
    sizes : tuple of (int or None)
        Bytes of text of each partition.
    joins : tuple of Lookup
        The tables to join.
    csv : CSVFormat or None
        How CSV files are written.
    files : KeptFiles or None
        The folder for rows.
    splits : Splits or None
        The splits into which the rows are divided.
    """

    rows: list[LazyRows]
    sizes: Sequence[int | None]
    joins: tuple[Lookup, ...]
    csv: CSVFormat | None
    files: KeptFiles | None
    splits: Splits | None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the splits; one number if the rows are not divided."""
        return (0,) if self.splits is None else self.splits.numbers

    def by(self, plan: Mapping[str, Column]) -> FirstPass:
        """Count all rows by the rules of a plan."""
        return count_and_keep(self.rows, self.sizes, plan, self.joins, self.files, self.numbers)

    def with_categories(
        self, counted: FirstPass, plan: Mapping[str, Column], recipe: Recipe, splits: Splits
    ) -> FirstPass:
        """Return the counts by the categories that were learned, as if these were declared.

        Splits with other categories are counted again, by the rule `unknown`. In all others each
        value keeps this rule, and nothing is read.

        Raises
        ------
        InvalidData
            When a value breaks a rule whose policy is an error.
        """
        known = {step.name: step.categories for step in recipe.steps if step.categories is not None}
        new = tuple(n for n in splits.numbers if _has_others(counted.tallies[n], known))
        tallies, n_kept, kept = [*counted.tallies], [*counted.n_kept], counted.kept
        if new:
            rules = {name: replace(each, categories=known.get(name)) for name, each in plan.items()}
            # Rows are not kept in memory twice.
            sizes = self.sizes if self.files is not None and self.files.begun else ()
            again = count_and_keep(self.rows, sizes, rules, self.joins, self.files, new)
            self._refuse_unknown(of_all_splits(again.tallies, rules), rules, splits)
            for place, number in enumerate(new):
                tallies[number], n_kept[number] = again.tallies[place], again.n_kept[place]
            kept = {key: rows for key, rows in kept.items() if key[0] not in new} | again.kept
        tallies = [
            tally if splits.learned(number) else _with_absent(tally, known)
            for number, tally in enumerate(tallies)
        ]
        return FirstPass(tuple(tallies), tuple(n_kept), kept)

    def _refuse_unknown(self, tally: Tally, rules: Mapping[str, Column], splits: Splits) -> None:
        try:
            refuse_broken(tally, rules, self.joins, self.csv, declared_here=True)
        except InvalidData as error:
            raise InvalidData(
                f"{error}\n  The categories are those of the rows that the data set learns from: "
                f"{', '.join(splits.learn_from)}"
            ) from None


def _has_others(tally: Tally, known: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether some counted categories are not among the known ones."""
    found = {name: tally.columns[name] for name in known}
    return any(
        each.crowded or not {*(each.categories or ())} <= {*known[name]}
        for name, each in found.items()
    )


def _with_absent(tally: Tally, known: Mapping[str, tuple[str, ...]]) -> Tally:
    """Return the tally with a count of 0 for each known category that was not found."""
    columns = dict(tally.columns)
    for name, categories in known.items():
        found = columns[name].categories or {}
        counts = {each: found.get(each, 0) for each in sorted(categories)}
        columns[name] = replace(columns[name], categories=counts)
    return replace(tally, columns=columns)


def rows_by_split(
    counted: FirstPass, rows: Sequence[LazyRows], splits: Sequence[int]
) -> tuple[list[LazyRows], list[int]]:
    """Return the rows of each split and partition, ordered by split, and the number of kept ones.

    Parameters
    ----------
    counted : FirstPass
        What the first pass has counted and kept.
    rows : sequence of LazyRows
        The raw rows of each partition, for what was not kept.
    splits : sequence of int
        Numbers of the splits.
    """
    again = [
        counted.kept.get((split, number)) or raw.then(methodcaller("in_split", split))
        for split in splits
        for number, raw in enumerate(rows)
    ]
    return again, [n for n_kept in counted.n_kept for n in n_kept]


def reader_of(
    source: Source,
    plan: Mapping[str, Column],
    rows: RowSelection | Splits | None,
    joins: Sequence[Lookup],
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
    source: Source, selection: RowSelection | Splits | None, columns: Sequence[str]
) -> list[LazyRows]:
    """Return the lazy rows of each partition, those that are selected."""
    if selection is None:
        return source.rows(columns)
    wanted = [*columns, *({selection.column} - {*columns})]
    return select_rows(selection, source.rows(wanted), columns)
