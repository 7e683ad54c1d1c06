"""Join the tallies of neighbouring partitions.

They are joined in a fixed tree, so the result does not depend on which worker counted which
partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from storage.ingestion.column import Column
from storage.ingestion.number_tally import NumberTally
from storage.ingestion.rules import RULES
from storage.ingestion.tally import (
    EXAMPLES,
    ColumnTally,
    Example,
    JoinTally,
    Tally,
    some_categories,
)

__all__ = ["joined"]


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
        NumberTally.joined([each.numbers for each in tallies]),
    )


def _moved(tally: Tally, begun: Mapping[str, int]) -> Tally:
    def moved(examples: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(
            replace(each, number=each.number + begun.get(each.file, 0)) for each in examples
        )

    columns = {
        name: replace(each, examples={rule: moved(some) for rule, some in each.examples.items()})
        if each.examples
        else each
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
    categories = None
    crowded = any(part.crowded for part in parts)
    if any(part.categories is not None for part in parts):
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(part.categories or {})
            if len(counts) > column.max_categories and column.kind == "category":
                crowded = True
                counts = Counter(some_categories(counts, column))
        categories = dict(sorted(counts.items()))
    return ColumnTally(
        {rule: sum(part.broken.get(rule, 0) for part in parts) for rule in rules},
        {rule: _first(part.examples.get(rule, ()) for part in parts) for rule in rules},
        categories,
        None if column.kind != "key" else sum(part.n_values or 0 for part in parts),
        crowded,
    )


def _first(examples: Any) -> tuple[Example, ...]:
    return tuple(each for some in examples for each in some)[:EXAMPLES]
