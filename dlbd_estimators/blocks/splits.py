"""Divide blocks into the parts that the splits of a cross-validation train and test on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.row_selection import Selection
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.kernels.parts import DividedBlock, PartRows, Splits, rows_of

Indices = NDArray[np.intp]


class Parts(ABC):
    """The rows of each part in each block; pickled into the tasks that read the blocks."""

    @abstractmethod
    def of(self, index: int, n_rows: int) -> tuple[PartRows, ...]:
        """Return the rows of each part in one block.

        Raises
        ------
        LengthMismatch
            The block has another number of rows than expected.
        """

    @abstractmethod
    def select(self, indices: Sequence[int]) -> Parts:
        """Return the same parts for these blocks only."""


@dataclass(frozen=True)
class ListedRows(Parts):
    """Parts that are given by the positions of their rows.

    Attributes
    ----------
    rows : dict of int to tuple of slice or ndarray of int
        Rows of each part, by block.
    sizes : dict of int to int
        Number of rows, by block.
    """

    rows: dict[int, tuple[PartRows, ...]]
    sizes: dict[int, int]

    @classmethod
    def of_positions(cls, positions: Sequence[Indices], sizes: Sequence[int]) -> ListedRows:
        """Divide ascending positions in the whole data set by block."""
        starts = [0, *accumulate(sizes)]
        edges = [np.searchsorted(each, starts) for each in positions]
        rows = {
            block: tuple(
                rows_of(each[cut[block] : cut[block + 1]] - first)
                for each, cut in zip(positions, edges, strict=True)
            )
            for block, (first, _) in enumerate(pairwise(starts))
        }
        return cls(rows, dict(enumerate(sizes)))

    def of(self, index: int, n_rows: int) -> tuple[PartRows, ...]:
        if n_rows != self.sizes[index]:
            raise LengthMismatch(
                f"Block {index} has {n_rows} rows where {self.sizes[index]} were counted for the "
                f"folds. Did the data change during fit?"
            )
        return self.rows[index]

    def select(self, indices: Sequence[int]) -> ListedRows:
        return ListedRows(
            {index: self.rows[index] for index in indices},
            {index: self.sizes[index] for index in indices},
        )


@dataclass(frozen=True)
class SelectedRows(Parts):
    """Parts that are given by a few numbers per block; their rows are computed on reading.

    Attributes
    ----------
    rows : dict of int to tuple of Rows
        Rows of each part, by block.
    """

    rows: dict[int, tuple[Any, ...]]

    @classmethod
    def of_selections(cls, selections: Sequence[Selection], n_blocks: int) -> SelectedRows:
        """Return parts made from one selection for each part."""
        return cls(
            {block: tuple(each.rows(block) for each in selections) for block in range(n_blocks)}
        )

    def of(self, index: int, n_rows: int) -> tuple[PartRows, ...]:
        parts = self.rows[index]
        for part in parts:
            part.check(n_rows)
        # The parts of a division share an order, and shuffling takes most of the time.
        orders = {seed: part.order() for seed, part in {part.seed: part for part in parts}.items()}
        return tuple(rows_of(part.positions(order=orders[part.seed])) for part in parts)

    def select(self, indices: Sequence[int]) -> SelectedRows:
        return SelectedRows({index: self.rows[index] for index in indices})


def divide(pairs: Sequence[tuple[Indices, Indices]], sizes: Sequence[int]) -> tuple[Splits, Parts]:
    """Convert the positions of training and test rows to splits, and parts of blocks.

    Parameters
    ----------
    pairs : sequence of (ndarray of int, ndarray of int)
        Positions of the training rows and of the test rows of each split.
    sizes : sequence of int
        Rows of each block.
    """
    n_rows = sum(sizes)
    pairs = [(np.sort(train), np.sort(test)) for train, test in pairs]
    tests = [test for _, test in pairs]
    times = np.bincount(np.concatenate(tests), minlength=n_rows)
    if times.max(initial=0) <= 1 and all(_is_complement(*pair, n_rows) for pair in pairs):
        rest = np.flatnonzero(times == 0)
        positions = [*tests, *([rest] if len(rest) else [])]
        splits = Splits.folds(len(tests), rest=bool(len(rest)))
        return splits, ListedRows.of_positions(positions, sizes)
    positions = [*(train for train, _ in pairs), *tests, np.arange(n_rows)]
    return Splits.overlapping(len(pairs)), ListedRows.of_positions(positions, sizes)


def _is_complement(train: Indices, test: Indices, n_rows: int) -> bool:
    """Return whether each row is in exactly one of two parts."""
    if len(train) + len(test) != n_rows:
        return False
    seen = np.zeros(n_rows, dtype=bool)
    seen[train] = seen[test] = True
    return bool(seen.all())


@dataclass(frozen=True)
class DividedBlocks(Blocks):
    """Blocks that are loaded together with the rows of each part.

    Parameters
    ----------
    parts : Parts
        Rows of each part, for every block.
    """

    parts: Any = None

    @classmethod
    def of(cls, blocks: Blocks, parts: Parts) -> DividedBlocks:
        """Return the same blocks, divided into parts."""
        given = {each.name: getattr(blocks, each.name) for each in fields(Blocks) if each.init}
        return cls(**given, parts=parts)

    def load(self, index: int, *, features: bool = True) -> DividedBlock:
        block = super().load(index, features=features)
        parts = self.parts.of(index, block.n_rows)
        return DividedBlock(block.X, block.y, block.weight, parts)

    def select(self, indices: Sequence[int]) -> Self:
        return self._same(replace(super().select(indices), parts=self.parts.select(indices)))

    def with_loader_of(self, part: Self) -> Self:
        return self._same(replace(super().with_loader_of(part), parts=part.parts))
