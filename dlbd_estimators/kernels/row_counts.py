"""The number of rows of each block, if it is only known after reading the block."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.kernels.kernel import Block, Kernel


@dataclass(frozen=True)
class RowCountKernel(Kernel[tuple[int, ...]]):
    """Number of rows of each block, in the order of the blocks; does not read features."""

    def __call__(self, block: Block, parameters: None = None) -> tuple[int, ...]:
        return (len(block.y),)

    def combine(self, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
        return left + right

    def is_finite(self, partial: tuple[int, ...]) -> bool:
        return True
