"""Select the rows of each block that go to a part of a split, from a few numbers per block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.allocation import Integers, allocate, consecutive
from dlbd_estimators.exceptions import LengthMismatch

#: Maximum number of blocks whose rows make up a chunk, however few these rows are: the blocks of
#: one chunk are read one after the other.
_BLOCKS_A_CHUNK = 16


@dataclass(frozen=True)
class Rows:
    """Some rows of one block.

    Parameters
    ----------
    block : int
        Number of the block.
    size : int
        Number of rows of the block.
    ranges : tuple of (int, int)
        Ranges of the block's order that are selected, ends excluded.
    seed : int or None
        Seed that shuffles the block's order; None keeps the order in which rows are stored.
    """

    block: int
    size: int
    ranges: tuple[tuple[int, int], ...]
    seed: int | None

    def order(self) -> NDArray[np.intp]:
        """Return the order of the rows of the block, of which ``ranges`` are selected."""
        if self.seed is None:
            return np.arange(self.size)
        # Each block has a separate random stream, so that blocks do not depend on each other.
        stream = np.random.SeedSequence(self.seed, spawn_key=(1, self.block))
        return np.random.default_rng(stream).permutation(self.size)

    def positions(
        self, labels: Any = None, order: NDArray[np.intp] | None = None
    ) -> NDArray[np.intp]:
        """Return the positions of the rows within their block, ascending.

        Parameters
        ----------
        labels : ndarray of shape (size,), optional
            Labels of the rows of the block. The order is then sorted by label.
        order : ndarray of shape (size,), optional
            The result of :meth:`order`, if it is known already.
        """
        order = self.order() if order is None else order
        if labels is not None:
            self.check(len(labels))
            codes = np.unique(np.asarray(labels), return_inverse=True)[1]
            order = order[np.argsort(codes[order], kind="stable")]
        taken = np.zeros(self.size, dtype=bool)
        for start, stop in self.ranges:
            taken[order[start:stop]] = True
        return np.flatnonzero(taken)

    def check(self, found: int) -> None:
        """Refuse a block that has another number of rows than the rows were selected from.

        Raises
        ------
        LengthMismatch
            The numbers differ. The message names the block.
        """
        if found != self.size:
            raise LengthMismatch(
                f"Found input variables with inconsistent numbers of samples: block {self.block} "
                f"has {found} rows where {self.size} were expected. Arrays of unknown chunk "
                f"lengths need the same chunks as the other arrays: call their "
                f"compute_chunk_sizes() first."
            )


@dataclass(frozen=True)
class Selection:
    """The rows that a part of a split takes, from all blocks.

    Parameters
    ----------
    sizes : tuple of int
        Rows of each block.
    ranges : ndarray of shape (n_blocks, n_ranges, 2)
        Ranges of each block's order that are selected, ends excluded.
    seed : int or None
        Seed that shuffles each block's order; None keeps the order in which rows are stored.
    """

    sizes: tuple[int, ...]
    ranges: Integers
    seed: int | None

    @cached_property
    def lengths(self) -> Integers:
        """Number of rows that are selected in each block."""
        taken: Integers = (self.ranges[..., 1] - self.ranges[..., 0]).sum(axis=1)
        return taken

    def rows(self, block: int) -> Rows:
        """Return the selected rows of one block."""
        return self._rows[block]

    @cached_property
    def _rows(self) -> list[Rows]:
        """Selected rows of each block, made once for all arrays that are split together."""
        # `tolist` converts all numbers at once, which is faster than one by one.
        return [
            Rows(block, size, tuple((a, b) for a, b in ranges if b > a), self.seed)
            for block, (size, ranges) in enumerate(
                zip(self.sizes, self.ranges.tolist(), strict=True)
            )
        ]

    def chunks(self) -> Iterator[list[int]]:
        """Yield the blocks whose rows make up each chunk of the part.

        A chunk has at most as many rows as the largest block, and empty ones are left out.
        """
        most = max(self.sizes)
        chunk: list[int] = []
        n_rows = 0
        for block, length in enumerate(self.lengths.tolist()):
            if not length:
                continue
            full = n_rows + length > most or len(chunk) == _BLOCKS_A_CHUNK
            if chunk and full:
                yield chunk
                chunk, n_rows = [], 0
            chunk.append(block)
            n_rows += length
        yield chunk or [0]

    def indices(self) -> NDArray[np.intp]:
        """Return the positions of the rows in the whole data set, ascending: 8 bytes a row."""
        starts = accumulate(self.sizes, initial=0)
        parts = [
            start + self.rows(block).positions()
            for block, (start, length) in enumerate(zip(starts, self.lengths, strict=False))
            if length
        ]
        return np.concatenate([np.empty(0, dtype=np.intp), *parts])


@dataclass(frozen=True)
class Division:
    """A division of all rows into parts.

    Parameters
    ----------
    sizes : tuple of int
        Rows of each block.
    counts : ndarray of shape (n_blocks, n_strata, n_parts)
        Rows of each stratum (label) of a block that go to each part.
    strata : ndarray of shape (n_blocks, n_strata)
        Rows of each stratum of a block.
    seed : int or None
        Seed that shuffles each block's order; None keeps the order in which rows are stored.
    """

    sizes: tuple[int, ...]
    counts: Integers
    strata: Integers
    seed: int | None

    @property
    def _edges(self) -> Integers:
        """Edges of the parts within each block's order, in which one stratum follows another."""
        first = np.cumsum(self.strata, axis=1) - self.strata
        within = np.concatenate([np.zeros_like(self.counts[..., :1]), self.counts], axis=2)
        edges: Integers = first[..., None] + np.cumsum(within, axis=2)
        return edges

    def part(self, number: int) -> Selection:
        """Return the rows of one part."""
        return Selection(self.sizes, self._edges[..., number : number + 2], self.seed)

    def others(self, number: int) -> Selection:
        """Return the rows of all other parts, if the parts together hold all rows."""
        edges = self._edges
        before, after = edges[..., [0, number]], edges[..., [number + 1, -1]]
        return Selection(self.sizes, np.concatenate([before, after], axis=1), self.seed)


def random_division(sizes: tuple[int, ...], parts: Any, seed: int) -> Division:
    """Divide rows at random among parts of given sizes, in proportion to the block sizes."""
    counts = allocate(sizes, parts, shares_stream(seed))
    return Division(sizes, counts[:, None, :], one_stratum(sizes), seed)


def consecutive_division(sizes: tuple[int, ...], parts: Any) -> Division:
    """Divide rows among parts of given sizes that are consecutive in the stored order."""
    return Division(sizes, consecutive(sizes, parts)[:, None, :], one_stratum(sizes), None)


def one_stratum(sizes: tuple[int, ...]) -> Integers:
    """Return the rows of each block as rows of a single stratum."""
    return np.asarray(sizes, dtype=np.int64)[:, None]


def shares_stream(seed: int) -> np.random.Generator:
    """Return the random generator that rounds the numbers of rows of parts in blocks."""
    # Independent of the streams of the blocks, whose spawn keys begin with 1.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
