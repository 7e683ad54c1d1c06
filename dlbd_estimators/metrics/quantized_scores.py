"""Numbers with as many binary digits as keep few of them distinct.

Dropping digits keeps the order of numbers, and numbers that are equal with some digits stay equal
with fewer. So however many blocks are joined in whatever order, what remains is what dropping
digits from all the numbers at once would have left.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Sign, exponent and mantissa of a float64.
ALL_DIGITS = 64
#: With no mantissa at all a float64 takes so many values, at most: powers of two and zero.
FEWEST = 4096


@dataclass(frozen=True)
class QuantizedScores:
    """Drops the last binary digits, the same for all numbers, as few as it takes.

    Parameters
    ----------
    n_distinct : int
        How many distinct numbers may remain.
    """

    n_distinct: int

    def __call__(
        self, values: NDArray[np.float64], digits: int = ALL_DIGITS
    ) -> tuple[NDArray[np.float64], int]:
        """Return the numbers, rounded towards zero, and with how many digits each.

        Parameters
        ----------
        values : ndarray of float64 of shape (n,)
            Finite.
        digits : int, default=64
            Keep no more than these.
        """
        if len(values) > self.n_distinct:
            ascending = np.sort(values)
            fitting = bisect_right(
                range(digits + 1),
                self.n_distinct,
                key=lambda kept: _n_distinct(truncated(ascending, kept)),
            )
            digits = fitting - 1  # with no digits all are zero, which always fits
        return truncated(values, digits), digits


def truncated(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Set all but the first binary digits of floats to zero."""
    if digits == ALL_DIGITS:
        return values
    mask = np.uint64((1 << ALL_DIGITS) - (1 << (ALL_DIGITS - digits)))
    kept: NDArray[np.float64] = (values.view(np.uint64) & mask).view(np.float64)
    return kept


def _n_distinct(ascending: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(np.diff(ascending))) + 1
