"""Determine how many rows of each block go to each part of a split.

The parts have exactly the requested sizes. Each block contributes to each part in proportion to
its number of rows, rounded at random: every row is equally likely to go to a part.

The rounding is systematic sampling. The proportional shares of the blocks are placed end to end
on a line, in random order. Points at unit distance, with a random offset, are placed on the same
line. A block contributes as many rows as there are points within its share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def allocate(
    sizes: Sequence[int] | Integers, parts: Sequence[int] | Integers, rng: np.random.Generator
) -> Integers:
    """Divide the rows of blocks among parts of exact sizes, in proportion to the block sizes.

    Parameters
    ----------
    sizes : sequence of int
        Rows of each block.
    parts : sequence of int
        Rows of each part, together at most all rows.
    rng : Generator
        Random generator of the rounding.

    Returns
    -------
    ndarray of shape (n_blocks, n_parts)
        Rows that each block contributes to each part: ``size * part / total`` on average, and
        never further from it than the number of parts.
    """
    left = np.array(sizes, dtype=np.int64)
    counts = np.zeros((len(left), len(parts)), dtype=np.int64)
    for number, part in enumerate(parts):
        n_left = int(left.sum())
        if not part:
            continue
        order = rng.permutation(len(left))
        # Products of two row counts may need more than 64 bits, so use Python's integers.
        ends = np.cumsum(left[order]).astype(object) * int(part) + int(rng.integers(n_left))
        counts[order, number] = np.diff(ends // n_left, prepend=0)
        left -= counts[:, number]
    return counts


def consecutive(sizes: Sequence[int] | Integers, parts: Sequence[int] | Integers) -> Integers:
    """Divide the rows of blocks among parts that are consecutive in the stored order.

    Returns
    -------
    ndarray of shape (n_blocks, n_parts)
        Rows that each block contributes to each part.
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
