"""Results of bundles that stay on the workers, and are joined there.

The client receives and joins small partials. A large partial stays on the worker that computed it,
and tasks on the workers join it with its neighbour in the tree. So the client receives one large
partial for each pass, however many bundles there are.
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

#: Sending a smaller partial to the client takes less time than the scheduler needs for a task that
#: joins it, about 3 ms.
_SMALLEST = 2**20
#: Total bytes of partials that a pass may send to the client. The client joins them in a tenth of a
#: second, and sending them takes as long as joining them on the workers. Measured with two worker
#: processes on one machine: both ways take the same time at 64 MB (8 bundles of 8 MB), and joining
#: on the workers is faster from 256 MB on.
_LARGEST_SUM = 2**25


@dataclass(frozen=True)
class Held:
    """A packed result that stays on its worker. The client recognises it by this type."""

    packed: Any
    cost: Cost

    def result(self) -> BundleResult[Any]:
        """Return the unpacked result, in new memory at each call."""
        return BundleResult(unpack(self.packed), self.cost)

    def __sizeof__(self) -> int:
        # By this size, Dask's scheduler runs a task on the worker with most bytes of its inputs.
        return object.__sizeof__(self) + sys.getsizeof(self.cost) + nbytes(self.packed)


def large_nbytes(n_bundles: int) -> int:
    """Return the bytes from which partials stay on workers, in a pass of ``n_bundles`` bundles."""
    return max(_SMALLEST, _LARGEST_SUM // n_bundles)


def held_if_large(result: BundleResult[Any], large: int) -> BundleResult[Any] | Held:
    """Return a result, wrapped in Held if it is so large that it stays on its worker."""
    if nbytes(result.partial) < large:
        return result
    return Held(pack(result.partial), result.cost)


def join_held(
    kernel: PassKernel[Any, Any], left: Held | NotKept, right: Held | NotKept
) -> Held | NotKept:
    """Join the results of two neighbours in the tree; NotKept if one of them is missing.

    A result that is lost with its worker is computed again by another one, which may not have the
    part of the graph that it needs.
    """
    if isinstance(left, NotKept) or isinstance(right, NotKept):
        return NotKept()
    began = time.perf_counter()
    first, second = left.result(), right.result()
    # The same settings as for a bundle: one BLAS thread for the same bits, no overflow warnings.
    with single_threaded_blas, np.errstate(all="ignore"):
        partial = kernel.combine(first.partial, second.partial)
    packed = pack(partial)
    seconds = time.perf_counter() - began
    return Held(packed, left.cost + right.cost + Cost(seconds=seconds))
