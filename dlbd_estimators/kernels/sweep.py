"""Several kernels, evaluated in one pass over the blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from dlbd_estimators.kernels.kernel import PassKernel

Partials = tuple[Any, ...]


@dataclass(frozen=True)
class SweepKernel(PassKernel[Any, Partials]):
    """Evaluates the kernels of several passes on each block, one after the other.

    The parameters are a tuple with the parameters of each kernel, and the partial is a tuple with
    the partial of each kernel. A partial has the same bits as in a separate pass.

    Parameters
    ----------
    kernels : tuple of PassKernel
        Kernels for blocks of the same type.
    """

    kernels: tuple[PassKernel[Any, Any], ...]

    def __call__(self, block: Any, parameters: tuple[Any, ...]) -> Partials:
        pairs = zip(self.kernels, parameters, strict=True)
        return tuple(kernel(block, item) for kernel, item in pairs)

    def of_block(self, number: int) -> Self:
        return replace(self, kernels=tuple(kernel.of_block(number) for kernel in self.kernels))

    def combine(self, left: Partials, right: Partials) -> Partials:
        triples = zip(self.kernels, left, right, strict=True)
        return tuple(kernel.combine(first, second) for kernel, first, second in triples)

    def is_finite(self, partial: Partials) -> bool:
        pairs = zip(self.kernels, partial, strict=True)
        return all(kernel.is_finite(item) for kernel, item in pairs)
