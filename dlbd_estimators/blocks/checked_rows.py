"""A single block of rows in memory that were checked before: reading it checks nothing."""

from __future__ import annotations

from typing import Self

from dlbd_estimators.blocks.block import ArrayLoader, Blocks
from dlbd_estimators.kernels.kernel import Block


class CheckedRows(Blocks):
    """A sequence of a single block, which is in memory and already checked."""

    @classmethod
    def of(cls, rows: Block) -> Self:
        """Return a sequence with ``rows`` as its only block."""
        n_rows, n_features = rows.X.shape
        loader = ArrayLoader(rows.X, rows.y, rows.weight, (0, n_rows))
        return cls(loader, 1, n_features, (n_rows,), None, itemsize=rows.X.itemsize, in_memory=True)

    def load(self, index: int, *, features: bool = True) -> Block:
        return Block(*self.loader.read(index))

    def diagnose(self, index: int, block: Block) -> None:
        """Do nothing: the rows are finite, so they do not explain a non-finite partial."""
