"""Estimate how much longer a fit will take, from the steps that it has made."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from dlbd_estimators.monitoring.events import Event

#: Number of last steps that the estimate is made from.
_LOOK_BACK = 5


class Remaining:
    """Estimate the remaining steps and seconds of one fit from its events.

    If steps have an error that must fall to ``tol``, it is assumed to fall in each step by the same
    factor as in the last few steps. Otherwise only the maximum number of steps is known.

    Attributes
    ----------
    steps : float or None
        Steps that are left; None before the first step.
    at_most : bool
        ``steps`` is only an upper bound, from ``max_iter``.
    """

    def __init__(self) -> None:
        self.steps: float | None = None
        self.at_most = True
        self._max_steps, self._n_steps, self._tol = 0, 0, 0.0
        self._errors: deque[float] = deque(maxlen=_LOOK_BACK + 1)
        self._seconds: deque[float] = deque(maxlen=_LOOK_BACK)

    @property
    def seconds(self) -> float | None:
        """Seconds that are left; None before the first step."""
        return None if self.steps is None else self.steps * median(self._seconds)

    def add(self, event: Event) -> None:
        """Update the estimate with the next event of the fit."""
        if event["event"] == "fit_started":
            self._max_steps = event["max_steps"]
            # An event has None for an infinite `tol`.
            self._tol = math.inf if event["tol"] is None else event["tol"]
        elif event["event"] == "fit_ended":
            self.steps = 0.0
            self._seconds.append(0.0)
        elif event["event"] == "step":
            # Counted here: with warm_start, `iteration` continues from the fit before.
            self._n_steps += 1
            self._seconds.append(event["step_seconds"])
            error = event.get("error")
            if error is not None:
                self._errors.append(error)
            left = max(self._max_steps - self._n_steps, 0)
            needed = self._needed()
            self.at_most = needed is None or needed > left
            self.steps = left if needed is None else min(needed, left)

    def _needed(self) -> float | None:
        if not self._errors:
            return None
        first, last = self._errors[0], self._errors[-1]
        if last <= self._tol:
            return 0.0
        if first <= last or self._tol <= 0:
            return None
        # A difference of logarithms: the quotient of two errors may be too large for a float.
        rate = (math.log(first) - math.log(last)) / (len(self._errors) - 1)
        return (math.log(last) - math.log(self._tol)) / rate if rate > 0 else None
