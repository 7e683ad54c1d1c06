"""Decoded blocks that stay in a process between passes.

The cached set is fixed: the first blocks that fit are kept until the fit ends. Passes
read the blocks in the same order again and again, and there a cache that evicts the
least recently used block evicts each one just before it is needed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block

#: A fit that has not asked for this long is taken to be gone (its client may have died).
_IDLE_SECONDS = 120.0
#: Fits whose end is remembered.
_MAX_ENDED = 256


@dataclass
class _Fit:
    blocks: dict[int, Block] = field(default_factory=dict)
    last_used: float = 0.0
    #: Of its blocks together: they may be many, and each that is put has to fit beside them.
    nbytes: int = 0


class BlockCache:
    """Blocks by fit and index, within a budget that all fits in the process share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fits: dict[str, _Fit] = {}
        # In the order of their ends; a dict, because a set has no order.
        self._ended: dict[str, None] = {}

    def get(self, fit: str, index: int) -> Block | None:
        """Return a cached block, or None."""
        with self._lock:
            entry = self._fits.get(fit)
            if entry is None:
                return None
            entry.last_used = time.monotonic()
            return entry.blocks.get(index)

    def put(self, fit: str, index: int, block: Block, budget: int) -> None:
        """Keep a block if all that is kept then still fits in ``budget`` bytes.

        Arrays that are views into something larger are not kept: they would hold
        memory that the budget does not see. Nor are blocks of a fit that was dropped: where a fit
        fails, some of its tasks end later than it does.
        """
        if not all(_owns(array) for array in (block.X, block.y, block.weight)):
            return
        with self._lock:
            if fit in self._ended:
                return
            now = time.monotonic()
            if not self._fits_in(budget, block.nbytes):
                self._drop_idle(now)
            if self._fits_in(budget, block.nbytes):
                entry = self._fits.setdefault(fit, _Fit())
                entry.last_used = now
                before = entry.blocks.get(index)
                entry.nbytes += block.nbytes - (0 if before is None else before.nbytes)
                entry.blocks[index] = block

    def drop(self, fit: str) -> None:
        """Forget the blocks of a fit."""
        with self._lock:
            self._fits.pop(fit, None)
            self._ended[fit] = None
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def _fits_in(self, budget: int, nbytes: int) -> bool:
        return sum(entry.nbytes for entry in self._fits.values()) + nbytes <= budget

    def _drop_idle(self, now: float) -> None:
        for fit, entry in list(self._fits.items()):
            if now - entry.last_used > _IDLE_SECONDS:
                del self._fits[fit]


def _owns(array: FloatArray | None) -> bool:
    """Tell whether an array holds no more memory than its own."""
    base = array
    while base is not None and isinstance(base.base, np.ndarray):
        base = base.base
    return array is None or base is None or base.nbytes <= array.nbytes


#: The cache of this process.
block_cache = BlockCache()
