"""Poisson samples of the rows of a block: each row is drawn independently of all others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel

#: For each step, its sample in pieces, one for each block, in the order of the blocks.
Samples = list[list[Block]]


@dataclass(frozen=True)
class PoissonSampleKernel(Kernel[Samples]):
    """Draw the rows of several steps from one block.

    A step draws each row with probability ``rate``. The samples of a block depend only on the seed,
    on the numbers of the step and of the block, and on the number of its rows.

    Parameters
    ----------
    rate : float
        Probability with which a step draws a row, at most 1.
    first_step, n_steps : int
        Number of the first step, and how many steps to draw rows for.
    seed : tuple of int
        Secret seed of the sampling.
    block : int
        Number of the block; :meth:`of_block` sets it.
    """

    rate: float
    first_step: int
    n_steps: int
    seed: tuple[int, ...] = field(repr=False)
    block: int = 0

    def of_block(self, number: int) -> Self:
        return replace(self, block=number)

    def __call__(self, block: Block, parameters: None = None) -> Samples:
        return [[_rows(block, self._drawn(block.n_rows, step))] for step in self._steps()]

    def _steps(self) -> range:
        return range(self.first_step, self.first_step + self.n_steps)

    def _drawn(self, n_rows: int, step: int) -> NDArray[np.intp]:
        """Return the positions of the rows that a step draws, sorted.

        The number of independent draws is binomial, and all sets of this size are equally likely.
        This takes a time proportional to the rows drawn, not to all rows.
        """
        generator = np.random.default_rng((*self.seed, step, self.block))
        n_drawn = generator.binomial(n_rows, self.rate)
        return np.sort(generator.choice(n_rows, n_drawn, replace=False, shuffle=False))

    def combine(self, left: Samples, right: Samples) -> Samples:
        for pieces, more in zip(left, right, strict=True):
            pieces += more
        return left

    def is_finite(self, partial: Samples) -> bool:
        return all(
            bool(np.isfinite(piece.X).all()) and bool(np.isfinite(piece.y).all())
            for pieces in partial
            for piece in pieces
        )


def joined(pieces: list[Block]) -> Block:
    """Return the pieces of one sample as one block."""
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    return Block(
        np.concatenate([piece.X for piece in pieces]),
        np.concatenate([piece.y for piece in pieces]),
        np.concatenate(weights) if weights else None,
    )


def _rows(block: Block, drawn: NDArray[np.intp]) -> Block:
    weight = None if block.weight is None else block.weight[drawn]
    return Block(block.X[drawn], block.y[drawn], weight)
