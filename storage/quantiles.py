"""Quantiles of a column from a few values of each part, with a bound on the error of their ranks.

The sorted values of a part are cut into at most 256 runs of equal length, and the middle value of
each run stands for all of its values. The sketches of all parts together are a weighted sample of
the column, and its quantiles do not depend on the order of the parts. For any number x, all runs
but one per part are on one side of x, so the sample counts the values up to x with an error of at
most half a run per part. Parts of up to 256 values are exact. If there are too many parts to hold
all sketches, groups of them are joined to one sketch, which adds half of its own runs to the error.
(Munro and Paterson, 1980; Manku, Rajagopalan and Lindsay, 1998.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from storage.order_statistics import values_at_ranks

__all__ = ["N_RUNS", "SHARES", "QuantileSketch", "Quantiles", "quantile_name", "quantiles_of"]

#: The quantiles that reports show.
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: Most values that are kept of a part. The error of a rank is at most the share 1 / N_RUNS of the
#: rows; if all parts are much longer than N_RUNS, it is half of that.
N_RUNS = 256


@dataclass(frozen=True)
class QuantileSketch:
    """The middle values of equally long runs of the sorted values of a part.

    Attributes
    ----------
    middles : ndarray of shape (n_runs,)
        The middle values, sorted.
    count : int
        Number of values of the part.
    error : int
        For any number, the largest error of the number of values up to it.
    """

    middles: npt.NDArray[np.float64]
    count: int
    error: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64], *, complete: bool = False) -> QuantileSketch:
        """Return the sketch of the values of a part; NaN are left out.

        `complete` says that it is known that there are none.
        """
        present = values if complete else values[~np.isnan(values)]
        runs = _runs(len(present))
        return cls(values_at_ranks(present, runs.middles), len(present), runs.error)

    @classmethod
    def joined(cls, sketches: Sequence[QuantileSketch]) -> QuantileSketch:
        """Return one sketch of the values of several parts together."""
        values, ranks = _weighted(sketches)
        count = int(ranks[-1]) if len(ranks) else 0
        runs = _runs(count)
        middles = values[np.searchsorted(ranks, runs.middles, side="right")]
        return cls(middles, count, sum(sketch.error for sketch in sketches) + runs.error)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of values of each run."""
        return _runs(self.count).lengths


class _Runs(NamedTuple):
    """The runs of so many sorted values: the ranks of their middle values, and their lengths."""

    middles: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    error: int


@lru_cache(maxsize=64)
def _runs(count: int) -> _Runs:
    """Return the runs of `count` values; their lengths differ by one value at most.

    Most columns of most parts have as many values as others.
    """
    n_runs = min(count, N_RUNS)
    edges = np.arange(n_runs + 1, dtype=np.int64) * count // max(n_runs, 1)
    lengths = np.diff(edges)
    return _Runs((edges[:-1] + edges[1:] - 1) // 2, lengths, int(lengths.max(initial=0)) // 2)


def _weighted(
    sketches: Sequence[QuantileSketch],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the middle values of all parts, sorted, and the number of values up to each."""
    values = np.concatenate([sketch.middles for sketch in sketches])
    order = np.argsort(values, kind="stable")
    lengths = np.concatenate([sketch.lengths for sketch in sketches])
    return values[order], np.cumsum(lengths[order])


def quantile_name(share: float) -> str:
    """Return the name that pandas gives a quantile: the share of the values in percent."""
    return f"{100 * share:g}%"


class Quantiles(NamedTuple):
    """Quantiles of a column.

    Attributes
    ----------
    values : tuple of float
        The value of each share. It is a value of the column.
    error : float
        Bound on the error of the ranks, as a share of all values: at least the share ``p - error``
        of the values are up to the quantile p, and less than ``p + error`` are below it.
    """

    values: tuple[float, ...]
    error: float


def quantiles_of(sketches: Sequence[QuantileSketch], shares: Sequence[float] = SHARES) -> Quantiles:
    """Return the quantiles of a column from the sketches of all its parts.

    Parameters
    ----------
    sketches : sequence of QuantileSketch
        One sketch for each part, in any order, with one value or more in all.
    shares : sequence of float, default=(0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
        The share of the values up to each quantile.
    """
    values, ranks = _weighted(sketches)
    count = int(ranks[-1])
    # The first value with so many values up to it. Fractions: 0.07 * 100 is above 7 in floats.
    wanted = [max(1, ceil(Fraction(str(share)) * count)) for share in shares]
    found = values[np.searchsorted(ranks, wanted)]
    return Quantiles(tuple(found.tolist()), sum(sketch.error for sketch in sketches) / count)
