"""A pass as plain data: what somebody wants to know of all rows, and what it is asked by.

Whoever needs to know more before it can go on is a generator: it yields a pass, is sent the
partial, and in the end returns what it was after. It never runs anything, so that its caller
may run what several ask for in one reading of the blocks, or stop and go on another day.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from dlbd_estimators.kernels.kernel import PassKernel

Partial = TypeVar("Partial")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Pass(Generic[Partial]):
    """One kernel at one set of parameters, over all blocks or some.

    Attributes
    ----------
    kernel : PassKernel
        What to compute.
    parameters : object
        Passed to the kernel with each block.
    name : str
        What a person reads on the dashboard; ``{}`` stands for the number of the pass.
    indices : tuple of int or None
        Blocks of a sample; None is all.
    n_entries : int
        Of the matrices in its partial: what passes of one sweep share their room by.
    """

    kernel: PassKernel[Any, Partial]
    parameters: Any
    name: str
    indices: tuple[int, ...] | None = None
    n_entries: int = 0


#: What yields passes, is sent the partial of each, and returns what it was after.
Asks: TypeAlias = Generator[Pass[Any], Any, Found]
