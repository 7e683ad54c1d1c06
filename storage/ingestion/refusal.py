"""Refuse raw rows that break a rule whose policy is an error, in one message about all rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storage.errors import InvalidData
from storage.ingestion.column import Column
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.lookup import Lookup
from storage.ingestion.step import violation
from storage.ingestion.tally import Tally

__all__ = ["is_refused", "refuse_broken"]

_SHOWN_EXAMPLES = 3


def refuse_broken(
    tally: Tally,
    plan: Mapping[str, Column],
    joins: Sequence[Lookup],
    csv: CSVFormat | None,
    *,
    declared_here: bool,
) -> None:
    """Raise an error that lists all broken rules whose policy is an error.

    Parameters
    ----------
    tally : Tally
        Counts of all rows.
    plan : dict of str to Column
        The rules of each column.
    joins : sequence of Lookup
        The joined tables.
    csv : CSVFormat or None
        How CSV files are written.
    declared_here : bool
        Whether the rules were declared in this call; otherwise they are those of a data set.

    Raises
    ------
    InvalidData
        When a rule is broken, or no row is left.
    """
    lines = [*_of_lines(tally, csv), *_of_joins(tally, joins, declared_here=declared_here)]
    for name, column in plan.items():
        lines += _of_column(tally, name, column, declared_here=declared_here)
    if lines:
        raise InvalidData("the raw data break the declared rules:\n  " + "\n  ".join(lines))
    if not tally.n_rows:
        raise InvalidData("the source has no rows, or the split selects none of them")
    if not tally.n_kept:
        raise InvalidData(
            f"no row is left of {tally.n_rows:,}: policies and malformed lines leave out all"
        )


def is_refused(tally: Tally, plan: Mapping[str, Column], joins: Sequence[Lookup]) -> bool:
    """Return whether a value breaks a rule whose policy is an error, or a key has no match."""
    return any(
        counts.unmatched and join.unmatched == "error"
        for join, counts in zip(joins, tally.joins, strict=True)
    ) or any(
        getattr(column, rule) == "error"
        for name, column in plan.items()
        for rule in tally.columns[name].broken
    )


def _of_lines(tally: Tally, csv: CSVFormat | None) -> Iterator[str]:
    if tally.malformed and (csv is None or csv.on_bad_lines == "error"):
        yield (
            f"lines with too many or too few fields, {tally.malformed:,} of {tally.n_rows:,}: "
            f"{_shown(tally.malformed_examples)}. Skip them with "
            f"csv=storage.CSVFormat(on_bad_lines='skip')"
        )
    if tally.unassigned:
        yield (
            f"rows without a value that the split can be decided by (it is missing, or cannot be "
            f"read), {tally.unassigned:,}: "
            f"{_shown(tally.unassigned_examples)}. Mend these rows, or split by another column"
        )


def _of_joins(tally: Tally, joins: Sequence[Lookup], *, declared_here: bool) -> Iterator[str]:
    for join, counts in zip(joins, tally.joins, strict=True):
        if counts.unmatched and join.unmatched == "error":
            remedy = (
                "Declare what to do, storage.Join(..., unmatched='drop') or 'keep'"
                if declared_here
                else "The data set whose steps are used was ingested with unmatched='error': mend "
                "the rows, or ingest it again with another policy"
            )
            yield (
                f"{join.key_name}, {counts.unmatched:,} of {tally.n_rows:,} rows: {join.name} does "
                f"not have the key: {_shown(counts.examples)}. {remedy}"
            )


def _of_column(tally: Tally, name: str, column: Column, *, declared_here: bool) -> Iterator[str]:
    found = tally.columns[name]
    for rule, count in found.broken.items():
        if getattr(column, rule) == "error":
            as_category = rule == "unparsable" and column.kind in ("number", "datetime")
            remedy = (
                f"Declare what to do, e.g. columns={{{name!r}: "
                f"storage.Column({column.kind!r}, {rule}='drop')}}"
                f"{', or storage.Column(' + repr('category') + ')' if as_category else ''}"
                if declared_here
                else f"The data set whose steps are used was ingested with {rule}='error': "
                f"mend the rows, or ingest it again with another policy"
            )
            yield (
                f"column {name!r}, {count:,} of {tally.n_rows:,} rows: "
                f"{violation(rule, column)}: {_shown(found.examples[rule])}. {remedy}"
            )


def _shown(examples: Sequence[Any]) -> str:
    return "; ".join(map(str, examples[:_SHOWN_EXAMPLES]))
