"""Blocks of the rows on which a user has a model validated during its training."""

from __future__ import annotations

from dataclasses import fields
from typing import Self

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.kernels.kernel import Block


class ValidationRows(Blocks):
    """Blocks whose sums may overflow: the score is then NaN, and the training goes on."""

    @classmethod
    def of(cls, blocks: Blocks) -> Self:
        """Return the same blocks."""
        values = {item.name: getattr(blocks, item.name) for item in fields(blocks) if item.init}
        return cls(**values)

    def diagnose(self, index: int, block: Block) -> None:
        """Refuse features that hold NaN or infinity; allow sums that overflow."""
        self.check_features(index, block)
