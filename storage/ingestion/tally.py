"""Count raw rows in one pass: broken rules with examples, statistics, categories.

A tally holds sums over the rows of a partition; see :mod:`storage.ingestion.joined_tallies` for
those of several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.ingestion.cells import Mask, text_at
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.column import Column
from storage.ingestion.lookup import Lookup
from storage.ingestion.number_tally import NumberTally
from storage.ingestion.rows import Rows
from storage.ingestion.rules import Checked
from storage.messages import short_text

__all__ = [
    "EXAMPLES",
    "ColumnTally",
    "Example",
    "JoinTally",
    "Tally",
    "some_categories",
    "tally_rows",
]

#: Examples kept of each column and rule.
EXAMPLES = 5
#: Kinds of columns with statistics of numbers.
_NUMBERS = ("number", "datetime")


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
    """Counts of one column. The statistics of numbers are in :class:`NumberTally`.

    Attributes
    ----------
    broken : dict of str to int
        Number of values that broke each rule, over all raw rows. For a rule whose policy is an
        error, rows that another rule leaves out do not count.
    examples : dict of str to tuple of Example
        The first values that broke each rule.
    categories : dict of str to int or None
        Number of kept rows with each category or truth value.
    n_values : int or None
        Number of kept rows that have a value, for keys; None for other kinds.
    crowded : bool
        Whether there are more categories than allowed; `categories` then lacks some.
    """

    broken: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
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
    numbers : NumberTally
        Statistics of the columns of numbers and times in the kept rows.
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
    numbers: NumberTally = field(default_factory=NumberTally)


def tally_rows(
    columns: Mapping[str, Column], joins: Sequence[Lookup], rows: Rows, checked: CheckedRows
) -> Tally:
    """Count the rows of one partition. No broken rule raises an error before all are counted."""
    rows = replace(rows, table=checked.table)
    rows = rows.as_written([name for name in rows.numbers if _has_examples(rows, checked, name)])
    n_rows, kept = rows.table.num_rows, checked.kept
    values = {name: each.values for name, each in checked.columns.items()}
    if not kept.all():
        values = {name: each[kept] for name, each in values.items()}
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
            name: replace(
                _broken(columns[name], each, kept, rows, name),
                **_counts(columns[name], values[name], each.texts),
            )
            for name, each in checked.columns.items()
        },
        tuple(
            _of_join(join, mask, kept, rows)
            for join, mask in zip(joins, checked.unmatched, strict=True)
        ),
        rows.n_outside,
        NumberTally.of(
            {
                name: _numbers(values[name])
                for name, column in columns.items()
                if column.kind in _NUMBERS
            }
        ),
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


def _broken(
    column: Column, checked: Checked, kept: npt.NDArray[np.bool_], rows: Rows, name: str
) -> ColumnTally:
    """Count the values of a column that break rules."""
    # If a policy leaves out a row, its other values raise no error.
    wrong = {
        rule: where & kept if getattr(column, rule) == "error" else where
        for rule, where in checked.broken.items()
    }
    broken = {rule: int(where.sum()) for rule, where in wrong.items() if where.any()}
    examples = {
        rule: tuple(
            Example(rows.file, rows.unit, rows.number(row), _raw(rows, name, row))
            for row in np.flatnonzero(wrong[rule])[:EXAMPLES].tolist()
        )
        for rule in broken
    }
    return ColumnTally(broken, examples)


def _counts(column: Column, values: npt.NDArray[Any], texts: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of the tally of a column that its kept values determine."""
    if column.kind in _NUMBERS:
        return {}
    if column.kind == "key":
        return {"n_values": int(np.count_nonzero(values >= 0))}
    if column.kind == "boolean":
        return {"categories": {"False": int(np.sum(values == 0)), "True": int(np.sum(values == 1))}}
    numbers = np.bincount(values[values >= 0], minlength=len(texts)).tolist()
    found = {text: number for text, number in zip(texts, numbers, strict=True) if number}
    if column.categories is not None:
        found = {each: found.get(each, 0) for each in column.categories}
    return {
        "categories": some_categories(found, column),
        "crowded": len(found) > column.max_categories,
    }


def some_categories(counts: Mapping[str, int], column: Column) -> dict[str, int]:
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
