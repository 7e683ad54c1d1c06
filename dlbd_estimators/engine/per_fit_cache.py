"""Values that a process keeps for a fit, until the fit ends.

The client reports when a fit ends. Tasks of the fit may still run at that time: their values are
not kept. A client may also die without a report. So the values of a fit that has used none of them
for a long time are dropped when another fit needs the memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")

#: Number of fits whose end is remembered.
_MAX_ENDED = 256


@dataclass
class _Fit(Generic[Value]):
    #: Each value with its size in bytes.
    values: dict[Hashable, tuple[Value, int]] = field(default_factory=dict)
    #: Size of all values together. It is kept up to date because there may be many values.
    nbytes: int = 0
    last_used: float = 0.0


class PerFitCache(Generic[Value]):
    """Values by fit and key, within a budget.

    Parameters
    ----------
    idle_seconds : float
        After so many seconds without a request, a fit is assumed to have ended.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._fits: dict[str, _Fit[Value]] = {}
        # Fits in the order in which they ended; a dict, because a set has no order.
        self._ended: dict[str, None] = {}

    def __len__(self) -> int:
        """Return the number of values of all fits."""
        with self._lock:
            return sum(len(fit.values) for fit in self._fits.values())

    def get(self, fit: str, key: Hashable) -> Value | None:
        """Return the value of a key, or None."""
        with self._lock:
            entry = self._fits.get(fit)
            if entry is None:
                return None
            entry.last_used = time.monotonic()
            found = entry.values.get(key)
        return None if found is None else found[0]

    def put(self, fit: str, key: Hashable, value: Value, nbytes: int, budget: int | None) -> None:
        """Keep a value if there is room; if necessary, drop the values of idle fits first.

        Parameters
        ----------
        fit : str
            Token of the fit. If the fit has ended, nothing is kept.
        key : hashable
            Key of the value, unique in the fit.
        value : object
            The value.
        nbytes : int
            Size of the value in bytes.
        budget : int or None
            Largest number of bytes of all fits together; None means no limit.
        """
        with self._lock:
            if fit in self._ended:
                return
            now = time.monotonic()
            if budget is None or not self._fits_in(budget, nbytes):
                self._drop_idle(now)
            if budget is None or self._fits_in(budget, nbytes):
                entry = self._fits.setdefault(fit, _Fit())
                entry.last_used = now
                before = entry.values.get(key)
                entry.nbytes += nbytes - (0 if before is None else before[1])
                entry.values[key] = value, nbytes

    def drop(self, fit: str) -> None:
        """Forget all values of a fit, which has ended."""
        with self._lock:
            self._fits.pop(fit, None)
            self._ended[fit] = None
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]

    def has_ended(self, fit: str) -> bool:
        """Return whether a fit is one of the last fits that have ended."""
        with self._lock:
            return fit in self._ended

    def clear(self) -> None:
        """Forget all values, but remember which fits have ended."""
        with self._lock:
            self._fits.clear()

    def _fits_in(self, budget: int, nbytes: int) -> bool:
        return sum(entry.nbytes for entry in self._fits.values()) + nbytes <= budget

    def _drop_idle(self, now: float) -> None:
        for fit, entry in list(self._fits.items()):
            if now - entry.last_used > self._idle_seconds:
                del self._fits[fit]
