"""Numbers rounded to fewer binary digits, so that few distinct ones remain.

Dropping digits keeps the order of numbers, and numbers that are equal with some digits stay equal
with fewer. The result therefore does not depend on the number of blocks or the order in which they
are joined: it is the same as dropping digits from all numbers at once.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Sign, exponent and mantissa of a float64.
ALL_DIGITS = 64
#: Upper bound on the number of float64 values without mantissa: powers of two and zero.
FEWEST = 4096


@dataclass(frozen=True)
class QuantizedScores:
    """Drops the same number of last binary digits from all numbers, as few as necessary.

    Parameters
    ----------
    n_distinct : int
        Largest number of distinct numbers that may remain.
    """

    n_distinct: int

    def __call__(
        self, values: NDArray[np.float64], digits: int = ALL_DIGITS
    ) -> tuple[NDArray[np.float64], int]:
        """Return the numbers, rounded towards zero, and the number of digits they keep.

        Parameters
        ----------
        values : ndarray of float64 of shape (n,)
            Finite numbers.
        digits : int, default=64
            Largest number of digits to keep.
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
