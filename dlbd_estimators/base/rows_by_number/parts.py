"""Find the blocks that hold the rows with given numbers, and take the rows.

If the numbers are ascending, rows are taken block by block, so that a pass over the result reads
each block once. If they are in another order, each part of the result reads all blocks that hold
rows of this part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from dask.array.dispatch import concatenate_lookup
from numpy.typing import NDArray

from dlbd_estimators.exceptions import LengthMismatch

Numbers = NDArray[np.intp]

#: Largest number of blocks in one part of ascending rows. The blocks of one part are read one after
#: the other, so more of them would mean less parallel reading.
_BLOCKS_A_PART = 16


@dataclass(frozen=True)
class Piece:
    """Some rows of one block.

    Parameters
    ----------
    block : int
        Number of the block.
    size : int
        Number of rows of the block.
    rows : slice or ndarray of int
        Positions of the rows in the block, ascending.
    """

    block: int
    size: int
    rows: slice | NDArray[Any]

    def take(self, data: Any) -> Any:
        """Take the rows of the block; a part of a block is a copy, not a view.

        Raises
        ------
        LengthMismatch
            The length of the block has changed since its rows were counted.
        """
        found = data.shape[0]
        if found != self.size:
            raise LengthMismatch(
                f"Block {self.block} has {found} rows, but had {self.size} when they were "
                f"counted. Did the data change meanwhile?"
            )
        if isinstance(self.rows, slice) and self.rows == slice(0, self.size):
            return data
        if hasattr(data, "iloc"):
            rows = self.rows
            return data.take(np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)
        taken = data[self.rows]
        return taken.copy() if isinstance(self.rows, slice) else taken


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a result.

    Parameters
    ----------
    pieces : tuple of Piece
        The pieces that hold the rows, by ascending block.
    n_rows : int
        Number of rows.
    order : ndarray of int or None
        For each row of the part, its position in the concatenated pieces; None if the concatenated
        pieces have the requested order.
    """

    pieces: tuple[Piece, ...]
    n_rows: int
    order: NDArray[Any] | None = None

    def join(self, taken: list[Any]) -> Any:
        """Concatenate the rows taken from each piece, in the order of the part."""
        if len(taken) == 1:
            joined = taken[0]
        elif hasattr(taken[0], "iloc"):
            from dask.dataframe import methods

            joined = methods.concat(taken)  # unites categories, which pandas alone does not
        else:
            joined = concatenate_lookup.dispatch(type(taken[0]))(taken, axis=0)
        if self.order is None:
            return joined
        return joined.take(self.order) if hasattr(joined, "iloc") else joined[self.order]


def parts_of(sizes: Sequence[int], numbers: Any) -> list[Part]:
    """Find rows by their numbers.

    Parameters
    ----------
    sizes : sequence of int
        Number of rows of each block.
    numbers : array-like of int or bool
        Row numbers in the requested order, as for ``take`` of NumPy and pandas: a row may occur
        more than once, and negative numbers count from the end. Or a mask of all rows.

    Raises
    ------
    IndexError
        A row does not exist, or the numbers have the wrong shape or dtype.
    """
    n_samples = sum(sizes)
    numbers = _checked(np.asarray(numbers), n_samples)
    edges = np.cumsum(sizes)
    if np.all(numbers[1:] >= numbers[:-1]):
        runs = list(_ascending_runs(np.searchsorted(numbers, edges), max(sizes)))
    else:
        most = max(sizes)
        runs = [(a, min(a + most, len(numbers))) for a in range(0, len(numbers), most)]
    return [_part(sizes, edges, numbers[start:stop]) for start, stop in runs]


def recut(sizes: Sequence[int], wanted: Sequence[int]) -> list[Part]:
    """Divide all rows into new blocks: one part for each size in ``wanted``."""
    edges = list(pairwise(accumulate(sizes, initial=0)))
    parts = []
    for start, stop in pairwise(accumulate(wanted, initial=0)):
        pieces = tuple(
            Piece(block, last - first, slice(max(start - first, 0), min(stop, last) - first))
            for block, (first, last) in enumerate(edges)
            if first < stop and last > start
        )
        parts.append(Part(pieces, stop - start))
    return parts


def _checked(numbers: NDArray[Any], n_samples: int) -> Numbers:
    if numbers.ndim == 1 and not len(numbers):
        return np.empty(0, dtype=np.intp)
    if numbers.dtype == bool:
        if numbers.shape != (n_samples,):
            raise IndexError(f"A mask has shape {numbers.shape}, but there are {n_samples} rows.")
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise IndexError(
            f"Rows are chosen by a list of their numbers, but this has shape {numbers.shape} and "
            f"dtype {numbers.dtype}."
        )
    numbers = numbers.astype(np.intp, copy=False)
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < -n_samples or highest >= n_samples:
        wrong = highest if highest >= n_samples else lowest
        raise IndexError(f"There is no row {wrong}: there are {n_samples} rows.")
    return np.where(numbers < 0, numbers + n_samples, numbers) if lowest < 0 else numbers


def _ascending_runs(ends: Numbers, most: int) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each part: at most ``most`` rows, and in few parts far fewer."""
    start = stop = n_blocks = 0
    for end in map(int, ends):
        if end == stop:
            continue
        if stop > start and (end - start > most or n_blocks == _BLOCKS_A_PART):
            yield start, stop
            start, n_blocks = stop, 0
        while end - start > most:  # one block can give more rows, if some are repeated
            yield start, start + most
            start += most
        stop, n_blocks = end, n_blocks + 1
    yield start, stop


def _part(sizes: Sequence[int], edges: Numbers, numbers: Numbers) -> Part:
    if not len(numbers):
        # Zero rows of block 0, so that the empty part has columns and dtypes.
        return Part((Piece(0, sizes[0], slice(0, 0)),), 0)
    order = None
    if np.any(numbers[1:] < numbers[:-1]):
        by_number = np.argsort(numbers, kind="stable")
        order = np.empty_like(by_number)
        order[by_number] = np.arange(len(order))
        numbers, order = numbers[by_number], _small(order, len(order))
    blocks = np.searchsorted(edges, numbers, side="right")
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(numbers)]
    pieces = []
    for start, stop in pairwise(cuts):
        block = int(blocks[start])
        size = sizes[block]
        pieces.append(Piece(block, size, _rows(numbers[start:stop] - (edges[block] - size), size)))
    return Part(tuple(pieces), len(numbers), order)


def _rows(rows: Numbers, size: int) -> slice | NDArray[Any]:
    if np.all(np.diff(rows) == 1):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return _small(rows, size)


def _small(numbers: NDArray[Any], end: int) -> NDArray[Any]:
    """Return numbers below ``end`` in the smallest dtype, because each task holds some of them."""
    return numbers.astype(np.min_scalar_type(end))
