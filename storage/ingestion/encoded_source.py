"""Two passes over a raw source: one that counts everything, one that encodes the rows lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed

from storage.computing import compute
from storage.errors import InvalidData
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.pieces import encoded_arrays
from storage.ingestion.plan import check_names
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.selection import RowSelection, select_rows
from storage.ingestion.sources import Source
from storage.ingestion.step import violation
from storage.ingestion.tally import Tally, joined, tally_rows

__all__ = ["EncodedSource", "encode_source", "read_rows"]

_SHOWN_EXAMPLES = 3


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

    Raises
    ------
    InvalidData
        When raw data cannot be read, or break a rule whose policy is an error.
    """
    if rows is not None:
        check_names(source, [rows.column])
    count = delayed(partial(tally_rows, plan), traverse=False)
    tallies = list(compute(*map(count, read_rows(source, rows, [*plan]))))
    tally = joined(tallies, plan)
    _refuse_broken(tally, plan, csv, declared_here=given is None)
    recipe = given or Recipe.fitted(plan, tally)
    description = source.description if rows is None else f"{source.description}, {rows}"
    report = QualityReport.of(description, recipe.target.name, plan, tally)
    X, y = encoded_arrays(
        recipe, read_rows(source, rows, [*plan]), [counts.n_kept for counts in tallies]
    )
    return EncodedSource(recipe, report, X, y)


def read_rows(
    source: Source, selection: RowSelection | None, columns: Sequence[str]
) -> list[Delayed]:
    """Return the rows of each partition, those that are selected."""
    if selection is None:
        return source.rows(columns)
    wanted = [*columns, *({selection.column} - {*columns})]
    return select_rows(selection, source.rows(wanted), columns)


def _refuse_broken(
    tally: Tally, plan: Mapping[str, Column], csv: CSVFormat | None, *, declared_here: bool
) -> None:
    """Raise an error that lists all broken rules whose policy is an error."""
    lines = []
    if tally.malformed and (csv is None or csv.on_bad_lines == "error"):
        lines.append(
            f"lines with too many or too few fields, {tally.malformed:,} of {tally.n_rows:,}: "
            f"{_shown(tally.malformed_examples)}. Skip them with "
            f"csv=storage.CSVFormat(on_bad_lines='skip')"
        )
    if tally.unassigned:
        lines.append(
            f"rows without a value that the split can be decided by (it is missing, or cannot be "
            f"read), {tally.unassigned:,}: "
            f"{_shown(tally.unassigned_examples)}. Mend these rows, or split by another column"
        )
    for name, column in plan.items():
        found = tally.columns[name]
        for rule, count in found.broken.items():
            if getattr(column, rule) == "error":
                remedy = (
                    f"Declare what to do, e.g. columns={{{name!r}: "
                    f"storage.Column({column.kind!r}, {rule}='drop')}}"
                    if declared_here
                    else f"The data set whose steps are used was ingested with {rule}='error': "
                    f"mend the rows, or ingest it again with another policy"
                )
                lines.append(
                    f"column {name!r}, {count:,} of {tally.n_rows:,} rows: "
                    f"{violation(rule, column)}: {_shown(found.examples[rule])}. {remedy}"
                )
    if lines:
        raise InvalidData("the raw data break the declared rules:\n  " + "\n  ".join(lines))
    if not tally.n_rows:
        raise InvalidData("the source has no rows, or the split selects none of them")
    if not tally.n_kept:
        raise InvalidData(
            f"no row is left of {tally.n_rows:,}: policies and malformed lines leave out all"
        )


def _shown(examples: Sequence[Any]) -> str:
    return "; ".join(map(str, examples[:_SHOWN_EXAMPLES]))
