"""Results of bundles that stay on the workers, and are joined there.

A small partial goes to the client, which joins what a pass brings. A large one stays where it
was made, and tasks on the workers join it with its neighbour in the tree, so that the client
receives one partial a pass, however many bundles there are.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.bundle import BundleResult
from dlbd_estimators.engine.cost import Cost
from dlbd_estimators.engine.graph_parts import NotKept
from dlbd_estimators.engine.symmetric_halves import nbytes, pack, unpack
from dlbd_estimators.kernels.kernel import PassKernel

#: What a smaller partial takes on its way to the client is less than the task that would join it
#: takes of the scheduler, about 3 ms.
_SMALLEST = 2**20
#: So much a pass may bring to the client: there it takes a tenth of a second, on the way as long
#: as the rounds of joining that would save it. Measured with two worker processes on one machine,
#: which are even at 64 MB (8 bundles of 8 MB); from 256 MB on joining there is faster.
_LARGEST_SUM = 2**25


@dataclass(frozen=True)
class Held:
    """A result that stays on its worker, packed. Its type tells the client so."""

    packed: Any
    cost: Cost

    def result(self) -> BundleResult[Any]:
        """Return the result, in memory of its own: as often as it is asked for."""
        return BundleResult(unpack(self.packed), self.cost)

    def __sizeof__(self) -> int:
        # Dask's scheduler goes by this to run a task where most of what it needs lies.
        return object.__sizeof__(self) + sys.getsizeof(self.cost) + nbytes(self.packed)


def large_nbytes(n_bundles: int) -> int:
    """Return the size from which on the partials of a pass of so many bundles stay."""
    return max(_SMALLEST, _LARGEST_SUM // n_bundles)


def held_if_large(result: BundleResult[Any], large: int) -> BundleResult[Any] | Held:
    """Return a result for the client, or if it is large one that stays on its worker."""
    if nbytes(result.partial) < large:
        return result
    return Held(pack(result.partial), result.cost)


def join_held(
    kernel: PassKernel[Any, Any], left: Held | NotKept, right: Held | NotKept
) -> Held | NotKept:
    """Join the results of two neighbours in the tree.

    A result that was lost with its worker is made again by another, which may not be able to.
    """
    if isinstance(left, NotKept) or isinstance(right, NotKept):
        return NotKept()
    began = time.perf_counter()
    first, second = left.result(), right.result()
    # As in a bundle: the bits are those of one thread, and what is not finite was looked for.
    with single_threaded_blas, np.errstate(all="ignore"):
        partial = kernel.combine(first.partial, second.partial)
    packed = pack(partial)
    seconds = time.perf_counter() - began
    return Held(packed, left.cost + right.cost + Cost(seconds=seconds))
