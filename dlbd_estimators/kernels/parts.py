"""Blocks whose rows are divided into parts (the folds of a cross-validation), and kernels on parts.

The sums over the training rows of a split are joined from the partials of the parts that these rows
are in, so that each row is read once for all splits. If the test rows of the splits do not overlap,
each fold is a part, and a split trains on all other parts: the work on a row is done once, whatever
the number of splits. If they overlap, each split has a part for its training rows and a part for
its test rows, and one more part holds all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel
from dlbd_estimators.kernels.sparse_rows import chosen_rows

Partial = TypeVar("Partial")

#: Positions of rows in a block: a slice if they are consecutive, so that indexing makes no copy.
PartRows = slice | NDArray[np.intp]


@dataclass(frozen=True)
class DividedBlock(Block):
    """A block with the positions of the rows of each part.

    Attributes
    ----------
    parts : tuple of slice or ndarray of int
        Rows of each part, ascending. Parts may overlap, and a part may be empty.
    """

    parts: tuple[PartRows, ...] = ()


@dataclass(frozen=True)
class Splits:
    """The splits of a cross-validation, as parts of the rows.

    Attributes
    ----------
    train, test : tuple of tuple of int
        For each split, the parts that it trains on, and the parts that it tests on.
    all_rows : tuple of int
        Parts that together hold every row once.
    """

    train: tuple[tuple[int, ...], ...]
    test: tuple[tuple[int, ...], ...]
    all_rows: tuple[int, ...]

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return 1 + max(max(each, default=-1) for each in (*self.train, *self.test, self.all_rows))

    @classmethod
    def folds(cls, n_folds: int, *, rest: bool = False) -> Splits:
        """Return splits that test on one fold each, and train on all other rows.

        Parameters
        ----------
        n_folds : int
            Number of folds; each fold is a part.
        rest : bool
            Whether one more part holds rows that are in no fold, and that every split trains on.
        """
        all_rows = tuple(range(n_folds + rest))
        train = tuple(tuple(each for each in all_rows if each != fold) for fold in range(n_folds))
        return cls(train, tuple((fold,) for fold in range(n_folds)), all_rows)

    @classmethod
    def overlapping(cls, n_splits: int) -> Splits:
        """Return splits that have a part for training rows and a part for test rows each.

        The last part holds all rows.

        Parameters
        ----------
        n_splits : int
            Number of splits.
        """
        train = tuple((split,) for split in range(n_splits))
        test = tuple((n_splits + split,) for split in range(n_splits))
        return cls(train, test, (2 * n_splits,))


@dataclass(frozen=True)
class PartKernel(Kernel[Partial]):
    """Evaluates another kernel on the rows of one part.

    Parameters
    ----------
    kernel : Kernel
        Kernel to evaluate on these rows, with the parameters of the pass.
    part : int
        Number of the part.
    """

    kernel: Kernel[Partial]
    part: int

    def __call__(self, block: Block, parameters: Any) -> Partial:
        assert isinstance(block, DividedBlock)
        rows = block.parts[self.part]
        weight = None if block.weight is None else block.weight[rows]
        X = chosen_rows(block.X, rows)
        return self.kernel(Block(X, block.y[rows], weight), parameters)

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self.kernel.combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return self.kernel.is_finite(partial)


@dataclass(frozen=True)
class TrainingRowsKernel(Kernel[Partial]):
    """Evaluates another kernel on blocks in which only the rows of some parts have weight.

    X is not copied. The rows of weight zero cost little: a fold is small compared with the
    training rows.

    Parameters
    ----------
    kernel : Kernel
        Kernel to evaluate on these blocks, with the parameters of the pass.
    parts : tuple of int
        Parts whose rows keep their weight.
    """

    kernel: Kernel[Partial]
    parts: tuple[int, ...]

    def __call__(self, block: Block, parameters: Any) -> Partial:
        assert isinstance(block, DividedBlock)
        weight = multiplicity(block, len(block.parts))[list(self.parts)].sum(axis=0)
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
    """Return how often each row occurs in each of the first ``n_parts`` parts.

    Parameters
    ----------
    block : DividedBlock
        Block with the rows.
    n_parts : int
        Number of parts to count.

    Returns
    -------
    ndarray of shape (n_parts, block.n_rows)
    """
    times = np.zeros((n_parts, block.n_rows))
    for count, rows in zip(times, block.parts, strict=False):
        if isinstance(rows, slice):
            count[rows] += 1.0
        else:  # a row that occurs twice counts twice
            count += np.bincount(rows, minlength=block.n_rows)
    return times


def rows_of(positions: NDArray[np.intp]) -> PartRows:
    """Return ascending positions, as a slice if they are consecutive."""
    if not len(positions):
        return slice(0, 0)
    first, last = int(positions[0]), int(positions[-1])
    if last - first + 1 != len(positions) or np.any(np.diff(positions) != 1):
        return positions  # the second condition finds rows that occur twice
    return slice(first, last + 1)
