"""Rows in memory that were checked when they were taken: one block, which is read as it is."""

from __future__ import annotations

from typing import Self

from dlbd_estimators.blocks.block import ArrayLoader, Blocks
from dlbd_estimators.kernels.kernel import Block


class CheckedRows(Blocks):
    """A sequence of one block at hand."""

    @classmethod
    def of(cls, rows: Block) -> Self:
        """Return some rows as a sequence."""
        n_rows, n_features = rows.X.shape
        loader = ArrayLoader(rows.X, rows.y, rows.weight, (0, n_rows))
        return cls(loader, 1, n_features, (n_rows,), None, itemsize=rows.X.itemsize, in_memory=True)

    def load(self, index: int, *, features: bool = True) -> Block:
        return Block(*self.loader.read(index))

    def diagnose(self, index: int, block: Block) -> None:
        """Raise nothing: it is not the rows that a partial which is not finite comes from."""
