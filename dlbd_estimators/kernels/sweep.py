"""Several kernels in one reading of the blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from dlbd_estimators.kernels.kernel import PassKernel

Partials = tuple[Any, ...]


@dataclass(frozen=True)
class SweepKernel(PassKernel[Any, Partials]):
    """The kernels of several passes, one after the other on each block.

    Its parameters are the tuple of theirs, and its partial is the tuple of their partials: each
    has the bits of a pass of its own.

    Parameters
    ----------
    kernels : tuple of PassKernel
        Of blocks of the same kind.
    """

    kernels: tuple[PassKernel[Any, Any], ...]

    def __call__(self, block: Any, parameters: tuple[Any, ...]) -> Partials:
        pairs = zip(self.kernels, parameters, strict=True)
        return tuple(kernel(block, each) for kernel, each in pairs)

    def of_block(self, number: int) -> Self:
        return replace(self, kernels=tuple(kernel.of_block(number) for kernel in self.kernels))

    def combine(self, left: Partials, right: Partials) -> Partials:
        triples = zip(self.kernels, left, right, strict=True)
        return tuple(kernel.combine(one, other) for kernel, one, other in triples)

    def is_finite(self, partial: Partials) -> bool:
        pairs = zip(self.kernels, partial, strict=True)
        return all(kernel.is_finite(each) for kernel, each in pairs)
