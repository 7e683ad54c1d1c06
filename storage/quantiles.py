"""Quantiles of a column from a few values of each part, with a bound on the error of their ranks.

The sorted values of a part are cut into at most 256 runs of equal length, and the middle value of
each run stands for all of its values. The sketches of all parts together are a weighted sample of
the column, and its quantiles do not depend on the order of the parts. For any number x, all runs
but one per part are on one side of x, so the sample counts the values up to x with an error of at
most half a run per part. (Munro and Paterson, 1980; Manku, Rajagopalan and Lindsay, 1998, with all
parts merged at once.) Parts of up to 256 values are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["N_RUNS", "PERCENTS", "QuantileSketch", "Quantiles", "quantiles_of"]

#: The quantiles that reports show, in percent.
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
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
    """

    middles: npt.NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> QuantileSketch:
        """Return the sketch of the values of a part; NaN are left out."""
        ordered = np.sort(values[~np.isnan(values)])
        edges = _edges(len(ordered))
        return cls(ordered[(edges[:-1] + edges[1:] - 1) // 2], len(ordered))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of values of each run."""
        return np.diff(_edges(self.count))


def _edges(count: int) -> npt.NDArray[np.int64]:
    """Return where runs begin and end; their lengths differ by one value at most."""
    n_runs = min(count, N_RUNS)
    return np.arange(n_runs + 1, dtype=np.int64) * count // max(n_runs, 1)


class Quantiles(NamedTuple):
    """Quantiles of a column.

    Attributes
    ----------
    values : tuple of float
        The value of each percentage. It is a value of the column.
    error : float
        Bound on the error of the ranks, as a share of all values: between the shares
        ``percent / 100 - error`` and ``percent / 100 + error`` of the values are up to the value.
    """

    values: tuple[float, ...]
    error: float


def quantiles_of(
    sketches: Sequence[QuantileSketch], percents: Sequence[int] = PERCENTS
) -> Quantiles:
    """Return the quantiles of a column from the sketches of all its parts.

    Parameters
    ----------
    sketches : sequence of QuantileSketch
        One sketch for each part, in any order, with one value or more in all.
    percents : sequence of int, default=(1, 5, 25, 50, 75, 95, 99)
        Shares of the values, in percent.
    """
    values = np.concatenate([sketch.middles for sketch in sketches])
    lengths = np.concatenate([sketch.lengths for sketch in sketches])
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(lengths[order])
    count = int(ranks[-1])
    # The first value with so many values up to it; by integers, which are not rounded.
    wanted = [max(1, -(-percent * count // 100)) for percent in percents]
    found = values[order][np.searchsorted(ranks, wanted)]
    error = sum(int(sketch.lengths.max(initial=0)) // 2 for sketch in sketches)
    return Quantiles(tuple(found.tolist()), error / count)
