"""A kernel restricted to some columns, for a model that uses only these features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.kernel import Block, Kernel

Partial = TypeVar("Partial")


@dataclass(frozen=True)
class OnColumns(Kernel[Partial], Generic[Partial]):
    """Evaluates another kernel on blocks reduced to some of their columns.

    Parameters
    ----------
    kernel : Kernel
        Kernel to evaluate.
    columns : ndarray of shape (n_kept,)
        Positions of the features to keep, in the order in which the kernel takes them.
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
