"""Options of commands that select rows: by the hash of a key, by time, as named splits."""

from __future__ import annotations

from collections.abc import Sequence

import click

from storage.dataset import Dataset
from storage.ingestion.selection import HashSplit, TimeSplit
from storage.ingestion.split import Split

__all__ = ["named_split", "selection_from_text", "splits_from_texts"]


def splits_from_texts(
    texts: Sequence[str], learn_from: Sequence[str]
) -> dict[str, HashSplit | TimeSplit] | None:
    """Return the named splits of ``NAME:KIND,COLUMN,START,STOP``; None if there are none.

    Parameters
    ----------
    texts : sequence of str
        The splits.
    learn_from : sequence of str
        The names of those that the steps are learned from.

    Raises
    ------
    click.UsageError
        When a text has another form, a name occurs twice, or no split is there to learn from.
    """
    splits: dict[str, HashSplit | TimeSplit] = {}
    for text in texts:
        name, _, rest = text.partition(":")
        kind, comma, limits = rest.partition(",")
        if not name or not comma or kind not in ("hash", "time"):
            raise click.UsageError(
                f"--split {text}: write NAME:hash,COLUMN,START,STOP or NAME:time,COLUMN,START,STOP"
            )
        if name in splits:
            raise click.UsageError(f"--split {text}: there are two splits called {name!r}")
        splits[name] = selection_from_text(kind, limits)
    if splits and not learn_from and "train" not in splits:
        raise click.UsageError(
            "no split is called 'train': name those that the steps are learned from, --learn-from"
        )
    return splits or None


def selection_from_text(kind: str, text: str) -> HashSplit | TimeSplit:
    """Return the selection of ``COLUMN,START,STOP``.

    Parameters
    ----------
    kind : {"hash", "time"}
        What rows are selected by.
    text : str
        The column, and the range.

    Raises
    ------
    click.UsageError
        When the text has another form, or the range is empty.
    """
    fields = text.split(",")
    if len(fields) != 3:
        raise click.UsageError(f"write COLUMN,START,STOP, not {text!r}")
    column, start, stop = fields
    try:
        if kind == "time":
            return TimeSplit(column, start or None, stop or None)
        return HashSplit(column, float(start or 0), float(stop or 1))
    except ValueError as error:
        raise click.UsageError(f"{text!r}: {error}") from error


def named_split(data: Dataset, name: str | None) -> Split:
    """Return the split of a data set that an option names.

    Raises
    ------
    click.UsageError
        When no split is named, or there is none of this name.
    """
    known = ", ".join(data.splits)
    if name is None:
        raise click.UsageError(f"the data set has the splits {known}: name one with --split")
    if name not in data.splits:
        has = f"the splits {known}" if known else "no splits"
        raise click.UsageError(f"there is no split {name!r}: the data set has {has}")
    return data.splits[name]
