"""Blocks whose rows are divided into parts (the folds of a cross-validation), and a kernel on one.

Sums over rows add up. What a model needs of the rows that a split trains on is joined from the
partials of the parts that they lie in, so that all splits are served by reading each row once.
Folds are parts of their own, and what a split trains on is all others: the work on a row is done
once, however many splits there are. Splits whose tests overlap have two parts each, and one of all
rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel

Partial = TypeVar("Partial")

#: Rows of a block: a slice where they follow one another, so that taking them copies nothing.
PartRows = slice | NDArray[np.intp]


@dataclass(frozen=True)
class DividedBlock(Block):
    """A block, and which of its rows lie in which part.

    Attributes
    ----------
    parts : tuple of slice or ndarray of int
        Rows of each part, ascending; parts may overlap, and a part may have none.
    """

    parts: tuple[PartRows, ...] = ()


@dataclass(frozen=True)
class Splits:
    """The splits of a cross-validation, as parts of the rows.

    Attributes
    ----------
    train, test : tuple of tuple of int
        Parts whose rows each split trains on, and tests on.
    whole : tuple of int
        Parts that hold every row once.
    """

    train: tuple[tuple[int, ...], ...]
    test: tuple[tuple[int, ...], ...]
    whole: tuple[int, ...]

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return 1 + max(max(each, default=-1) for each in (*self.train, *self.test, self.whole))

    @classmethod
    def folds(cls, n_folds: int, *, rest: bool = False) -> Splits:
        """Return splits that test on one fold each, and train on all other rows.

        Parameters
        ----------
        n_folds : int
            A part is a fold.
        rest : bool
            One more part holds rows that are in no fold, and always trained on.
        """
        whole = tuple(range(n_folds + rest))
        train = tuple(tuple(each for each in whole if each != fold) for fold in range(n_folds))
        return cls(train, tuple((fold,) for fold in range(n_folds)), whole)

    @classmethod
    def overlapping(cls, n_splits: int) -> Splits:
        """Return splits that have parts of their own: rows to train on, rows to test on, all rows.

        Parameters
        ----------
        n_splits : int
            Their number.
        """
        train = tuple((split,) for split in range(n_splits))
        test = tuple((n_splits + split,) for split in range(n_splits))
        return cls(train, test, (2 * n_splits,))


@dataclass(frozen=True)
class PartKernel(Kernel[Partial]):
    """Another kernel, on the rows of one part.

    Parameters
    ----------
    kernel : Kernel
        Evaluated on those rows, with the pass's parameters.
    part : int
        Number of the part.
    """

    kernel: Kernel[Partial]
    part: int

    def __call__(self, block: Block, parameters: Any) -> Partial:
        assert isinstance(block, DividedBlock)
        rows = block.parts[self.part]
        weight = None if block.weight is None else block.weight[rows]
        return self.kernel(Block(block.X[rows], block.y[rows], weight), parameters)

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self.kernel.combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return self.kernel.is_finite(partial)


@dataclass(frozen=True)
class KeptRowsKernel(Kernel[Partial]):
    """Another kernel, on blocks in which only the rows of some parts have weight.

    Nothing of X is copied: the rows of a fold are few beside those that are trained on.

    Parameters
    ----------
    kernel : Kernel
        Evaluated on the blocks, with the pass's parameters.
    parts : tuple of int
        Parts whose rows keep their weight.
    """

    kernel: Kernel[Partial]
    parts: tuple[int, ...]

    def __call__(self, block: Block, parameters: Any) -> Partial:
        assert isinstance(block, DividedBlock)
        weight = multiplicity(block, len(block.parts))[:, list(self.parts)].sum(axis=1)
        if block.weight is not None:
            weight *= block.weight
        return self.kernel(Block(block.X, block.y, weight), parameters)

    def of_block(self, number: int) -> Self:
        return replace(self, kernel=self.kernel.of_block(number))

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self.kernel.combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return self.kernel.is_finite(partial)


def multiplicity(block: DividedBlock, n_parts: int) -> FloatArray:
    """Return how often each row stands in each of the first parts.

    Parameters
    ----------
    block : DividedBlock
        Whose rows are meant.
    n_parts : int
        Their number.

    Returns
    -------
    ndarray of shape (block.n_rows, n_parts)
    """
    times = np.zeros((block.n_rows, n_parts))
    for part in range(n_parts):
        rows = block.parts[part]
        if isinstance(rows, slice):
            times[rows, part] += 1.0
        else:  # where a row stands twice it counts twice
            times[:, part] += np.bincount(rows, minlength=block.n_rows)
    return times


def rows_of(positions: NDArray[np.intp]) -> PartRows:
    """Return ascending positions as a slice where they follow one another."""
    if not len(positions):
        return slice(0, 0)
    first, last = int(positions[0]), int(positions[-1])
    if last - first + 1 != len(positions) or np.any(np.diff(positions) != 1):
        return positions  # the latter where a row stands twice
    return slice(first, last + 1)
