"""Draw a random order of all rows of a data set, for any number of blocks.

First, the number of rows that each block sends to each block of the new data set is drawn, so that
each new block gets exactly the rows that it has room for. Then the order is drawn in which each
block deals its rows out, and the order in which each new block takes the rows that it is dealt.
Every order of all rows is equally likely.

(This is the divide and conquer method of Rao and Sandelius for random permutations, with fixed
sizes of blocks: the numbers of rows have a multivariate hypergeometric distribution.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_ROWS", "Counts", "collect_order", "counts_of", "deal_order"]

Counts = npt.NDArray[np.int64]

#: NumPy's multivariate hypergeometric distribution is limited to fewer rows than this.
MOST_ROWS = 10**9
# Numbers of the random streams that are derived from one seed.
_DEALT, _OUT, _IN = range(3)


def counts_of(sizes: tuple[int, ...], seed: int) -> Counts:
    """Return how many rows each block (row) sends to each new block (column).

    Both the rows and the columns of the matrix sum to `sizes`.
    """
    rng = np.random.default_rng([seed, _DEALT])
    room = np.array(sizes, dtype=np.int64)
    counts = np.empty((len(sizes), len(sizes)), dtype=np.int64)
    for row, size in zip(counts, sizes, strict=True):
        row[:] = rng.multivariate_hypergeometric(room, size, method="marginals")
        room -= row
    return counts


def deal_order(seed: int, block: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the order in which the rows of a block are dealt out."""
    return np.random.default_rng([seed, _OUT, block]).permutation(n_rows)


def collect_order(seed: int, block: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the order in which a new block takes the rows that were dealt to it."""
    return np.random.default_rng([seed, _IN, block]).permutation(n_rows)
