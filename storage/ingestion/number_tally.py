"""Statistics of all columns of numbers and times in some raw rows, in a few arrays.

Tallies are sent between processes, and joined. One array of all columns takes a small part of the
time of an array of each column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.quantiles import QuantileSketch
from storage.summary import Summary, summary_of_tiles, tiles_of_column

__all__ = ["ColumnSketches", "NumberTally"]

#: Most sketches of a column in a tally of several partitions. They take 128 KiB.
_MAX_SKETCHES = 64


@dataclass(frozen=True)
class ColumnSketches:
    """The quantile sketch of each of several columns, as arrays.

    Attributes
    ----------
    middles : ndarray of shape (n_columns, n_runs)
        The middle values of each column, with NaN after those of a column that has fewer.
    lengths, counts, errors : ndarray of int of shape (n_columns,)
        Number of middle values of each column; `count` and `error` of each sketch.
    """

    middles: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]

    @classmethod
    def of(cls, sketches: Sequence[QuantileSketch]) -> ColumnSketches:
        """Return the sketches of these columns, one or more."""
        lengths = np.array([len(each.middles) for each in sketches])
        middles = np.full((len(sketches), lengths.max()), np.nan)
        for row, each in zip(middles, sketches, strict=True):
            row[: len(each.middles)] = each.middles
        counts = np.array([each.count for each in sketches])
        return cls(middles, lengths, counts, np.array([each.error for each in sketches]))

    def column(self, place: int) -> QuantileSketch:
        """Return the sketch of one column."""
        middles = self.middles[place, : self.lengths[place]]
        return QuantileSketch(middles, int(self.counts[place]), int(self.errors[place]))


@dataclass(frozen=True)
class NumberTally:
    """Statistics of the kept rows of some partitions.

    Attributes
    ----------
    names : tuple of str
        The columns of numbers and of times, whose values are in seconds since 1970.
    summary : Summary or None
        Statistics of all columns; None without rows.
    sketches : tuple of ColumnSketches
        The quantiles of the same rows, one for each partition or, if there are many, for each group
        of partitions.
    """

    names: tuple[str, ...] = ()
    summary: Summary | None = None
    sketches: tuple[ColumnSketches, ...] = ()

    @classmethod
    def of(cls, columns: Mapping[str, npt.NDArray[np.float64]]) -> NumberTally:
        """Return the statistics of the values of each column; NaN are left out."""
        if not columns:
            return cls()
        tiles, sketches = [], []
        # Both at once, while a column is in the processor's cache.
        for values in columns.values():
            tiles.append(tiles_of_column(values))
            count = sum(tile[0] for tile in tiles[-1])
            sketches.append(QuantileSketch.of(values, complete=count == len(values)))
        summary = summary_of_tiles(tiles) if tiles[0] else None
        return cls((*columns,), summary, (ColumnSketches.of(sketches),))

    @classmethod
    def joined(cls, parts: Sequence[NumberTally]) -> NumberTally:
        """Return the statistics of the rows of several parts with the same columns."""
        summary: Summary | None = None
        for part in parts:
            if part.summary is not None:
                summary = part.summary if summary is None else summary.joined(part.summary)
        names = parts[0].names if parts else ()
        return cls(names, summary, _fewer([part.sketches for part in parts]))

    def summary_of(self, name: str) -> Summary | None:
        """Return the statistics of one column; None if it has none."""
        if self.summary is None or name not in self.names:
            return None
        place = self.names.index(name)
        return Summary(*(each[place : place + 1] for each in vars(self.summary).values()))

    def sketches_of(self, name: str) -> list[QuantileSketch]:
        """Return the sketches of one column."""
        place = self.names.index(name)
        return [each.column(place) for each in self.sketches]


def _fewer(groups: Sequence[tuple[ColumnSketches, ...]]) -> tuple[ColumnSketches, ...]:
    """Return all sketches or, if they are too many, one for each group."""
    if sum(map(len, groups)) <= _MAX_SKETCHES:
        return tuple(sketches for group in groups for sketches in group)
    return tuple(_of_group(group) for group in groups if group)


def _of_group(group: tuple[ColumnSketches, ...]) -> ColumnSketches:
    if len(group) == 1:
        return group[0]
    places = range(len(group[0].counts))
    return ColumnSketches.of(
        [QuantileSketch.joined([each.column(place) for each in group]) for place in places]
    )
