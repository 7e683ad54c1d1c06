"""Where the rows with given numbers are, and the tasks that take them.

Ascending numbers are taken block by block, so that a pass over the rows reads each block once.
Numbers in another order have to be put in that order: each part of the result then reads all
blocks that have rows for it.
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

#: A part is put together from no more blocks than this where that is free to choose: the blocks
#: of one part are read one after the other.
_BLOCKS_A_PART = 16


@dataclass(frozen=True)
class Piece:
    """Some rows of one block.

    Parameters
    ----------
    block : int
        Its number.
    size : int
        Its rows.
    rows : slice or ndarray of int
        Which ones, ascending.
    """

    block: int
    size: int
    rows: slice | NDArray[Any]

    def take(self, data: Any) -> Any:
        """Take the rows of the block; a part of a block is a copy, not a view.

        Raises
        ------
        LengthMismatch
            The block has another length than it had when its rows were counted.
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
        Where the rows lie, by ascending block.
    n_rows : int
        Their number.
    order : ndarray of int or None
        Position of each row of the part in the pieces one after the other; None where that is
        the order asked for.
    """

    pieces: tuple[Piece, ...]
    n_rows: int
    order: NDArray[Any] | None = None

    def join(self, taken: list[Any]) -> Any:
        """Put together what was taken of each piece."""
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
        Rows of each block.
    numbers : array-like of int or bool
        Which rows, in which order, as pandas' and NumPy's ``take`` have them: one may come more
        than once, and negative ones count from the end. Or a mask of all rows.

    Raises
    ------
    IndexError
        There is no such row.
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
    """Cut all rows at other places: a part for each size that is wanted."""
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
            raise IndexError(f"A mask of shape {numbers.shape} came for {n_samples} rows.")
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
    """Yield the rows of each part, none larger than ``most`` and few of them far smaller."""
    start = stop = n_blocks = 0
    for end in map(int, ends):
        if end == stop:
            continue
        if stop > start and (end - start > most or n_blocks == _BLOCKS_A_PART):
            yield start, stop
            start, n_blocks = stop, 0
        while end - start > most:  # rows that come more than once
            yield start, start + most
            start += most
        stop, n_blocks = end, n_blocks + 1
    yield start, stop


def _part(sizes: Sequence[int], edges: Numbers, numbers: Numbers) -> Part:
    if not len(numbers):
        # An empty part still has columns and dtypes.
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
    """Store numbers below ``end`` in few bytes: they travel with every task."""
    return numbers.astype(np.min_scalar_type(end))
