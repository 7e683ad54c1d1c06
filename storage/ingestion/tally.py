"""Count raw rows in one pass: broken rules with examples, statistics, categories.

A tally holds sums over the rows of a partition. The tallies of neighbouring partitions are joined
in a fixed tree, so the result does not depend on which worker counted which partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.ingestion.cells import Mask, text_at
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.column import Column
from storage.ingestion.lookup import Lookup
from storage.ingestion.rows import Rows
from storage.ingestion.rules import RULES, Checked
from storage.messages import short_text
from storage.quantiles import QuantileSketch
from storage.summary import Summary, summary_of

__all__ = ["EXAMPLES", "ColumnTally", "Example", "JoinTally", "Tally", "joined", "tally_rows"]

#: Examples kept of each column and rule.
EXAMPLES = 5
#: Most sketches of a column in a tally of several partitions. They take 128 KiB.
_MAX_SKETCHES = 64


@dataclass(frozen=True)
class Example:
    """One value that broke a rule.

    Attributes
    ----------
    file, unit, number : str, str, int
        Its place: the number of a line (from 1) or of a row (from 0) of the file.
    value : str or None
        Its text; None if the cell is empty.
    """

    file: str
    unit: str
    number: int
    value: str | None

    def __str__(self) -> str:
        value = "nothing" if self.value is None else repr(self.value)
        return f"{value} in {self.unit} {self.number:,} of {self.file}"


@dataclass(frozen=True)
class ColumnTally:
    """Counts of one column.

    Attributes
    ----------
    broken : dict of str to int
        Number of values that broke each rule, over all raw rows. For a rule whose policy is an
        error, rows that another rule leaves out do not count.
    examples : dict of str to tuple of Example
        The first values that broke each rule.
    summary : Summary or None
        Statistics of the kept rows, for numbers and for datetimes (in seconds since 1970).
    sketches : tuple of QuantileSketch
        The quantiles of the same rows as `summary`, one sketch for each partition or, if there
        are many, for each group of partitions.
    categories : dict of str to int or None
        Number of kept rows with each category or truth value.
    n_values : int or None
        Number of kept rows that have a value, for keys; None for other kinds.
    crowded : bool
        Whether there are more categories than allowed; `categories` then lacks some.
    """

    broken: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    summary: Summary | None = None
    sketches: tuple[QuantileSketch, ...] = ()
    categories: Mapping[str, int] | None = None
    n_values: int | None = None
    crowded: bool = False


@dataclass(frozen=True)
class JoinTally:
    """Counts of one joined table.

    Attributes
    ----------
    unmatched : int
        Number of raw rows whose key the table does not have. If the policy is an error, rows that
        another rule leaves out do not count.
    examples : tuple of Example
        The keys of the first such rows.
    """

    unmatched: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Tally:
    """Counts of some raw rows.

    Attributes
    ----------
    n_rows, n_kept : int
        Number of raw rows, and of the rows that no policy left out.
    n_units : dict of str to int
        Number of lines or rows of each file.
    malformed : int
        Number of lines with too many or too few fields.
    malformed_examples : tuple of Example
        The first of these lines.
    unassigned : int
        Number of lines or rows that no split selects, because they have no value to select by.
    unassigned_examples : tuple of Example
        The first of these.
    columns : dict of str to ColumnTally
        Counts of each column.
    joins : tuple of JoinTally
        Counts of each joined table.
    n_outside : int
        Number of rows that are not selected, though they have a value to select by.
    """

    n_rows: int
    n_kept: int
    n_units: Mapping[str, int]
    malformed: int
    malformed_examples: tuple[Example, ...]
    unassigned: int
    unassigned_examples: tuple[Example, ...]
    columns: Mapping[str, ColumnTally]
    joins: tuple[JoinTally, ...] = ()
    n_outside: int = 0


def tally_rows(
    columns: Mapping[str, Column], joins: Sequence[Lookup], rows: Rows, checked: CheckedRows
) -> Tally:
    """Count the rows of one partition. No broken rule raises an error before all are counted."""
    rows = replace(rows, table=checked.table)
    rows = rows.as_written([name for name in rows.numbers if _has_examples(rows, checked, name)])
    n_rows, kept = rows.table.num_rows, checked.kept
    malformed = tuple(
        Example(rows.file, rows.unit, number + rows.first, short_text(text))
        for number, text in rows.malformed[:EXAMPLES]
    )
    return Tally(
        n_rows + len(rows.malformed),
        int(np.count_nonzero(kept)),
        {rows.file: rows.n_units},
        len(rows.malformed),
        malformed,
        len(rows.unassigned),
        tuple(
            Example(rows.file, rows.unit, number + rows.first, text and short_text(text))
            for number, text in zip(rows.unassigned, rows.unassigned_values, strict=False)
        ),
        {
            name: _of_column(columns[name], each, kept, rows, name)
            for name, each in checked.columns.items()
        },
        tuple(
            _of_join(join, mask, kept, rows)
            for join, mask in zip(joins, checked.unmatched, strict=True)
        ),
        rows.n_outside,
    )


def _has_examples(rows: Rows, checked: CheckedRows, name: str) -> bool:
    """Return whether a value breaks a rule. An empty cell has no text to show."""
    broken = checked.columns[name].broken.values()
    if not broken:
        return False
    filled = rows.table.column(name).is_valid().to_numpy()
    return any(bool((where & filled).any()) for where in broken)


def _of_join(join: Lookup, unmatched: Mask, kept: npt.NDArray[np.bool_], rows: Rows) -> JoinTally:
    wrong = unmatched & kept if join.unmatched == "error" else unmatched
    examples = []
    for row in np.flatnonzero(wrong)[:EXAMPLES].tolist():
        key = join.key_text(rows.table, row)
        examples.append(Example(rows.file, rows.unit, rows.number(row), key and short_text(key)))
    return JoinTally(int(wrong.sum()), tuple(examples))


def _of_column(
    column: Column, checked: Checked, kept: npt.NDArray[np.bool_], rows: Rows, name: str
) -> ColumnTally:
    # If a policy leaves out a row, its other values raise no error.
    wrong = {
        rule: where & kept if getattr(column, rule) == "error" else where
        for rule, where in checked.broken.items()
    }
    broken = {rule: int(where.sum()) for rule, where in wrong.items() if where.any()}
    examples = {
        rule: tuple(
            Example(rows.file, rows.unit, rows.number(row), _raw(rows, name, row))
            for row in np.flatnonzero(where)[:EXAMPLES].tolist()
        )
        for rule, where in wrong.items()
        if rule in broken
    }
    values = checked.values[kept]
    if column.kind == "key":
        return ColumnTally(broken, examples, n_values=int(np.count_nonzero(values >= 0)))
    if column.kind in ("number", "datetime"):
        numbers = _numbers(values)
        summary = summary_of(numbers[:, None]) if len(numbers) else None
        sketches = (QuantileSketch.of(numbers),)
        return ColumnTally(broken, examples, summary=summary, sketches=sketches)
    if column.kind == "boolean":
        counts = {"False": int(np.sum(values == 0)), "True": int(np.sum(values == 1))}
        return ColumnTally(broken, examples, categories=counts)
    numbers = np.bincount(values[values >= 0], minlength=len(checked.texts)).tolist()
    pairs = zip(checked.texts, numbers, strict=True)
    found = Counter({text: number for text, number in pairs if number})
    if column.categories is not None:
        found = Counter({each: found[each] for each in column.categories})
    crowded = len(found) > column.max_categories
    return ColumnTally(broken, examples, categories=_some(found, column), crowded=crowded)


def _some(counts: Mapping[str, int], column: Column) -> dict[str, int]:
    """Return all categories, or one more than allowed, which suffices to refuse them."""
    return dict(sorted(counts.items())[: column.max_categories + 1])


def _numbers(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return numbers as they are, and times in seconds since 1970."""
    if values.dtype.kind != "M":
        return values
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e6)


def _raw(rows: Rows, name: str, row: int) -> str | None:
    text = text_at(rows.table.column(name), row)
    return None if text is None else short_text(text)


def joined(tallies: Sequence[Tally], columns: Mapping[str, Column]) -> Tally:
    """Join the tallies of neighbouring partitions, given in their order.

    The numbers of lines and rows then count from the first of these partitions of their file.
    """
    begun: Counter[str] = Counter()
    placed = []
    for tally in tallies:
        placed.append(_moved(tally, dict(begun)))
        begun.update(tally.n_units)
    return Tally(
        sum(each.n_rows for each in tallies),
        sum(each.n_kept for each in tallies),
        dict(begun),
        sum(each.malformed for each in tallies),
        _first(each.malformed_examples for each in placed),
        sum(each.unassigned for each in tallies),
        _first(each.unassigned_examples for each in placed),
        {
            name: _joined_columns([each.columns[name] for each in placed], column)
            for name, column in columns.items()
        },
        tuple(
            JoinTally(
                sum(each.unmatched for each in parts), _first(each.examples for each in parts)
            )
            for parts in zip(*(each.joins for each in placed), strict=True)
        ),
        sum(each.n_outside for each in tallies),
    )


def _moved(tally: Tally, begun: Mapping[str, int]) -> Tally:
    def moved(examples: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(
            replace(each, number=each.number + begun.get(each.file, 0)) for each in examples
        )

    columns = {
        name: replace(each, examples={rule: moved(some) for rule, some in each.examples.items()})
        for name, each in tally.columns.items()
    }
    return replace(
        tally,
        malformed_examples=moved(tally.malformed_examples),
        unassigned_examples=moved(tally.unassigned_examples),
        columns=columns,
        joins=tuple(replace(each, examples=moved(each.examples)) for each in tally.joins),
    )


def _joined_columns(parts: Sequence[ColumnTally], column: Column) -> ColumnTally:
    rules = [rule for rule in RULES if any(rule in part.broken for part in parts)]
    summaries = [part.summary for part in parts if part.summary is not None]
    summary = summaries[0] if summaries else None
    for each in summaries[1:]:
        summary = each if summary is None else summary.joined(each)
    categories = None
    crowded = any(part.crowded for part in parts)
    if any(part.categories is not None for part in parts):
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(part.categories or {})
            if len(counts) > column.max_categories and column.kind == "category":
                crowded = True
                counts = Counter(_some(counts, column))
        categories = dict(sorted(counts.items()))
    return ColumnTally(
        {rule: sum(part.broken.get(rule, 0) for part in parts) for rule in rules},
        {rule: _first(part.examples.get(rule, ()) for part in parts) for rule in rules},
        summary,
        _joined_sketches([part.sketches for part in parts if part.sketches]),
        categories,
        None if column.kind != "key" else sum(part.n_values or 0 for part in parts),
        crowded,
    )


def _joined_sketches(groups: Sequence[tuple[QuantileSketch, ...]]) -> tuple[QuantileSketch, ...]:
    """Return all sketches or, if they are too many, one for each group."""
    if sum(map(len, groups)) <= _MAX_SKETCHES:
        return tuple(sketch for group in groups for sketch in group)
    return tuple(QuantileSketch.joined(group) if len(group) > 1 else group[0] for group in groups)


def _first(examples: Any) -> tuple[Example, ...]:
    return tuple(each for some in examples for each in some)[:EXAMPLES]
