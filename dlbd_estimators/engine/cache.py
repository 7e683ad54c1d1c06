"""Decoded blocks that stay in a process between passes.

The cached set is fixed: the first blocks that fit are kept until the fit ends. All passes read
the blocks in the same order. A cache that evicts the least recently used block would evict each
block just before it is needed.
"""

from __future__ import annotations

import numpy as np

from dlbd_estimators.engine.per_fit_cache import PerFitCache
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block

#: The decoded blocks of this process, by token and number. All fits share one budget. If there is
#: no room for a new block, the blocks of fits that have used none of them for two minutes are
#: dropped: they can be read again.
block_cache: PerFitCache[Block] = PerFitCache(idle_seconds=120.0)


def keep_block(fit: str, key: tuple[str, int], block: Block, budget: int) -> None:
    """Keep a block if all kept blocks together then still fit in ``budget`` bytes.

    Arrays that are views of larger arrays are not kept: they would hold memory that the budget
    does not count.
    """
    if all(_owns(array) for array in (block.X, block.y, block.weight)):
        block_cache.put(fit, key, block, block.nbytes, budget)


def _owns(array: FloatArray | None) -> bool:
    """Return whether an array keeps no more memory alive than its own bytes."""
    base = array
    while base is not None and isinstance(base.base, np.ndarray):
        base = base.base
    return array is None or base is None or base.nbytes <= array.nbytes
