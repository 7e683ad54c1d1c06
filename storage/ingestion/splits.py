"""Named splits of the rows of a data set, such as those for training and those for testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.column import Column
from storage.ingestion.joined_tallies import joined
from storage.ingestion.selection import Chosen, RowSelection, selection_from_json
from storage.ingestion.tally import Tally

__all__ = ["Splits", "named_splits", "of_all_splits", "without_lines"]

#: The split whose rows the steps are made from, if no other is named.
_TRAIN = "train"
#: Numbers of splits fit into int8, and -1 means no split.
_MAX_SPLITS = 100


@dataclass(frozen=True)
class Splits:
    """Named selections of rows, none of which has a row of another.

    Attributes
    ----------
    selections : dict of str to HashSplit or TimeSplit
        The selections, all by the same hash or the same time of one column.
    learn_from : tuple of str
        The splits whose rows decide categories, imputed values and the mean and standard deviation
        of standardised columns.
    """

    selections: Mapping[str, RowSelection]
    learn_from: tuple[str, ...]

    @classmethod
    def of(
        cls, selections: Mapping[str, RowSelection], learn_from: str | Sequence[str] | None
    ) -> Splits:
        """Return the splits that a user has declared.

        Raises
        ------
        ValueError, TypeError
            When a name or a selection is wrong, a row may be in two splits, or it is not said which
            rows the steps are made from.
        """
        if not isinstance(selections, Mapping):
            raise TypeError(
                f"splits must be a dict of a storage.HashSplit or TimeSplit by name, such as "
                f"{{'train': storage.HashSplit('customer', stop=0.8)}}, got {selections!r}"
            )
        if learn_from is None:
            if _TRAIN not in selections:
                raise TypeError(
                    "no split is called 'train': name the one whose rows decide categories, "
                    "imputed values and standardised columns, learn_from='...', or several"
                )
            learn_from = _TRAIN
        names = (learn_from,) if isinstance(learn_from, str) else tuple(learn_from)
        return cls(dict(selections), names)

    def __post_init__(self) -> None:
        if not 0 < len(self.selections) <= _MAX_SPLITS:
            raise ValueError(f"there must be 1 to {_MAX_SPLITS} splits, got {len(self.selections)}")
        names: tuple[object, ...] = tuple(self.selections)
        for name, each in zip(names, self.selections.values(), strict=True):
            if not (isinstance(name, str) and name and name.isprintable()):
                raise ValueError(f"the name of a split must be a printable text, got {name!r}")
            if not isinstance(each, RowSelection):
                raise TypeError(
                    f"splits[{name!r}] must be a storage.HashSplit or TimeSplit, got {each!r}"
                )
        for (one, selected), (other, by) in combinations(self.selections.items(), 2):
            if selected.without_limits() != by.without_limits():
                raise ValueError(
                    f"a row may be in both splits {one!r} and {other!r}, because they are not by "
                    f"the same column and hash, or column and format of times: {selected}; {by}"
                )
            if selected.overlaps(by):
                raise ValueError(
                    f"the splits {one!r} and {other!r} overlap: {selected}; {by}. Each row must be "
                    f"in one split at most"
                )
        wrong = [name for name in self.learn_from if name not in self.selections]
        if not self.learn_from or wrong or len({*self.learn_from}) < len(self.learn_from):
            raise ValueError(
                f"learn_from must name one or more of the splits {', '.join(self.selections)}, "
                f"each once, got {', '.join(map(repr, self.learn_from)) or 'none'}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits, in the order of their rows."""
        return tuple(self.selections)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the splits, from 0."""
        return tuple(range(len(self.selections)))

    @property
    def column(self) -> str:
        """The raw column by which all splits select."""
        return next(iter(self.selections.values())).column

    def learned(self, number: int) -> bool:
        """Return whether the steps are made from the rows of a split."""
        return self.names[number] in self.learn_from

    def chosen(self, values: pa.ChunkedArray) -> Chosen:
        """Return for each row the number of its split.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            Values of the column.
        """
        # All splits are by the same number or time.
        measured, missing = next(iter(self.selections.values())).measured(values)
        splits = np.full(len(measured), -1, np.int8)
        for number, selection in enumerate(self.selections.values()):
            splits[selection.within(measured) & ~missing] = number
        return Chosen(splits >= 0, missing, splits)

    def overlaps(self, other: RowSelection) -> bool:
        """Return whether some rows of a split are in another selection, as far as it is known."""
        return any(each.overlaps(other) for each in self.selections.values())

    def check_rows(self, tallies: Sequence[Tally]) -> None:
        """Refuse splits without rows, such as that of a year with a typing error.

        Raises
        ------
        InvalidData
            When a split has no row that is kept.
        """
        for (name, selection), tally in zip(self.selections.items(), tallies, strict=True):
            if not tally.n_kept:
                reason = (
                    f"policies leave out all {tally.n_rows:,}"
                    if tally.n_rows
                    else f"the source has no {selection}"
                )
                raise InvalidData(f"the split {name!r} has no rows: {reason}")

    def to_json(self) -> dict[str, Any]:
        """Return the splits as plain values, for JSON."""
        return {
            "learn_from": [*self.learn_from],
            "selections": {name: each.to_json() for name, each in self.selections.items()},
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Splits:
        """Return the splits with these plain values."""
        selections = {}
        for name, each in plain["selections"].items():
            selection = selection_from_json(each)
            if selection is None:
                raise ValueError("a split selects nothing")
            selections[name] = selection
        return cls(selections, tuple(plain["learn_from"]))

    def __str__(self) -> str:
        return f"splits {', '.join(self.names)}"


def of_all_splits(tallies: Sequence[Tally], columns: Mapping[str, Column]) -> Tally:
    """Return the tally of the rows of several splits of the same partitions.

    Lines that are in no split, because they are malformed for example, are in the tally of each
    split; here they count once.
    """
    if len(tallies) == 1:
        return tallies[0]
    first, *others = tallies
    # Without numbers of lines, because the examples have those of their files already.
    placed = [replace(each, n_units={}) for each in (first, *map(without_lines, others))]
    return joined(placed, columns)


def without_lines(tally: Tally) -> Tally:
    """Return the tally of the rows of a split, without the lines that are in no split."""
    return replace(
        tally,
        n_rows=tally.n_rows - tally.malformed,
        malformed=0,
        malformed_examples=(),
        unassigned=0,
        unassigned_examples=(),
        n_outside=0,
    )


def named_splits(
    splits: Mapping[str, RowSelection] | None, learn_from: str | Sequence[str] | None, **others: Any
) -> Splits | None:
    """Return the named splits; refuse options that contradict them."""
    if splits is None:
        if learn_from is not None:
            raise ValueError("learn_from names one of the splits: give splits=, too")
        return None
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ValueError(
            f"splits cannot be given with {given[0]}=: they select the rows, and name those that "
            f"the steps are learned from"
        )
    return Splits.of(splits, learn_from)
