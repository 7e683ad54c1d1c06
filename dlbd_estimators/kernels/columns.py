"""A kernel on some of the columns, for a model of these features alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel

Partial = TypeVar("Partial")


@dataclass(frozen=True)
class OnColumns(Kernel[Partial], Generic[Partial]):
    """Another kernel, of blocks that have no more columns than these.

    Parameters
    ----------
    kernel : Kernel
        What to compute.
    columns : ndarray of shape (n_kept,)
        Positions of the features, in order.
    """

    kernel: Kernel[Partial]
    columns: NDArray[np.intp]

    def __call__(self, block: Block, parameters: Any) -> Partial:
        return self.kernel(Block(block.X[:, self.columns], block.y, block.weight), parameters)

    def of_block(self, number: int) -> Self:
        return replace(self, kernel=self.kernel.of_block(number))

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self.kernel.combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return self.kernel.is_finite(partial)
