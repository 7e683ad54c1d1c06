"""How many rows of each block go to each part of a split.

The parts have exactly the sizes asked for, and each block gives to each in proportion to its
own rows, up to a rounding that is at random: every row is as likely as any other to go to a
part. (Rounding by systematic sampling: the proportional shares of the blocks, in random order,
stand along a line, and a comb of unit steps, laid on it at random, says how many rows each
gives.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def allocate(
    sizes: Sequence[int] | Integers, parts: Sequence[int] | Integers, rng: np.random.Generator
) -> Integers:
    """Divide blocks among parts in proportion, exactly.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each block.
    parts : sequence of int
        Rows of each part, together at most all rows.
    rng : Generator
        Rounds.

    Returns
    -------
    ndarray of shape (n_blocks, n_parts)
        Rows; ``size * part / total`` on average, and never further from it than the number
        of parts.
    """
    left = np.array(sizes, dtype=np.int64)
    counts = np.zeros((len(left), len(parts)), dtype=np.int64)
    for number, part in enumerate(parts):
        n_left = int(left.sum())
        if not part:
            continue
        order = rng.permutation(len(left))
        # Products of two numbers of rows may need more than 64 bits: Python's integers.
        ends = np.cumsum(left[order]).astype(object) * int(part) + int(rng.integers(n_left))
        counts[order, number] = np.diff(ends // n_left, prepend=0)
        left -= counts[:, number]
    return counts


def consecutive(sizes: Sequence[int] | Integers, parts: Sequence[int] | Integers) -> Integers:
    """Divide blocks among parts that follow one another in the rows' stored order.

    Returns
    -------
    ndarray of shape (n_blocks, n_parts)
        Rows.
    """
    starts = np.cumsum([0, *sizes])[:-1, None]
    edges = np.cumsum([0, *parts])[None, :]
    inside = np.clip(edges - starts, 0, np.asarray(sizes, dtype=np.int64)[:, None])
    counts: Integers = np.diff(inside, axis=1)
    return counts


def fold_sizes(n_samples: int, n_splits: int) -> Integers:
    """Return the sizes of folds, which differ by one at most; the larger ones come first."""
    sizes = np.full(n_splits, n_samples // n_splits, dtype=np.int64)
    sizes[: n_samples % n_splits] += 1
    return sizes
