"""Values that a process keeps for a fit, until the fit ends.

The client says when a fit ends. This may be before the last of its tasks: what such a task brings
is not kept. A client may also die and say nothing, so a fit that has not asked for long gives way
to others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")

#: Fits whose end is remembered.
_MAX_ENDED = 256


@dataclass
class _Fit(Generic[Value]):
    #: With the size of each.
    values: dict[Hashable, tuple[Value, int]] = field(default_factory=dict)
    #: Of its values together: they may be many, and each that is put has to fit beside them.
    nbytes: int = 0
    last_used: float = 0.0


class PerFitCache(Generic[Value]):
    """Values by fit and key.

    Parameters
    ----------
    idle_seconds : float
        A fit that has not asked for this long is taken to be gone.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._fits: dict[str, _Fit[Value]] = {}
        # In the order of their ends; a dict, because a set has no order.
        self._ended: dict[str, None] = {}

    def __len__(self) -> int:
        """Values of all fits."""
        with self._lock:
            return sum(len(fit.values) for fit in self._fits.values())

    def get(self, fit: str, key: Hashable) -> Value | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            entry = self._fits.get(fit)
            if entry is None:
                return None
            entry.last_used = time.monotonic()
            found = entry.values.get(key)
        return None if found is None else found[0]

    def put(self, fit: str, key: Hashable, value: Value, nbytes: int, budget: int | None) -> None:
        """Keep a value, if all that is kept then still fits; fits that are gone give way to it.

        Parameters
        ----------
        fit : str
            One that has ended keeps nothing.
        key : hashable
            By which it is asked for.
        value : object
            What is kept.
        nbytes : int
            Its size.
        budget : int or None
            Bytes for all fits together; None is no limit.
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
        """Tell whether a fit has ended lately."""
        with self._lock:
            return fit in self._ended

    def clear(self) -> None:
        """Forget all values, but not which fits have ended."""
        with self._lock:
            self._fits.clear()

    def _fits_in(self, budget: int, nbytes: int) -> bool:
        return sum(entry.nbytes for entry in self._fits.values()) + nbytes <= budget

    def _drop_idle(self, now: float) -> None:
        for fit, entry in list(self._fits.items()):
            if now - entry.last_used > self._idle_seconds:
                del self._fits[fit]
