"""A step along a line that makes a function less, and its slope flatter (Moré and Thuente 1994).

Each trial narrows an interval that holds such a step, by the cubic through two points and their
slopes, or the parabola. The parameters are those of SciPy's L-BFGS-B: nearly always the first trial
is taken, and of a loss that costs a pass over the data that is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

#: Share of the decrease that the slope promises which has to be there,
_DECREASE = 1e-3
#: and share of the slope that may be left.
_CURVATURE = 0.9
#: An interval is not narrowed below this share of its end.
_NARROWEST = 0.1
LONGEST = 1e10
_MOST_TRIALS = 20


class Trial(NamedTuple):
    """A step, and the function and its slope there."""

    step: float
    value: np.float64
    slope: np.float64

    def tilted(self, slope: float) -> Trial:
        """Return this of the function less a line."""
        return Trial(self.step, self.value - self.step * slope, self.slope - slope)


@dataclass(frozen=True)
class LineSearch:
    """Where a search stands: evaluate at ``step``, and go on with what :meth:`after` returns.

    Attributes
    ----------
    begin : Trial
        The function where the line begins; it falls there.
    step : float
        To try next, or, where the search is over, the last one tried.
    low, high : float
        Bounds on that.
    best, other : Trial
        The ends of the interval: the best step until now, and the other end.
    bracketed : bool
        A good step lies between them.
    seeks_decrease : bool
        No trial has yet had the decrease asked for and gone beyond the minimum.
    width, width_before : float
        Of the interval now, and one trial before.
    n_tried : int
        Trials until now.
    found : bool or None
        Whether ``step`` may be taken; None is not known yet.
    """

    begin: Trial
    step: float
    low: float
    high: float
    best: Trial
    other: Trial
    bracketed: bool = False
    seeks_decrease: bool = True
    width: float = LONGEST
    width_before: float = 2.0 * LONGEST
    n_tried: int = 0
    found: bool | None = None

    @classmethod
    def along(cls, value: float, slope: float, step: float) -> LineSearch:
        """Begin a search, with a first step to try.

        Parameters
        ----------
        value, slope : float
            Of the function where the line begins. Where it does not fall there is nothing to find.
        step : float
            To try first.
        """
        begin = Trial(0.0, np.float64(value), np.float64(slope))
        found = None if slope < 0.0 else False
        return cls(begin, step, 0.0, 5.0 * step, begin, begin, found=found)

    def after(self, value: float, slope: float) -> LineSearch:
        """Return the search after a trial."""
        tried = Trial(self.step, np.float64(value), np.float64(slope))
        least = _DECREASE * self.begin.slope
        enough = self.begin.value + self.step * least
        fell = bool(tried.value <= enough)
        search = replace(self, n_tried=self.n_tried + 1)
        if fell and abs(tried.slope) <= -_CURVATURE * self.begin.slope:
            return replace(search, found=True)
        # Rounding leaves nothing better in the interval, or the function falls without end.
        endless = self.step == LONGEST and fell and tried.slope <= least
        if endless or (self.bracketed and (self._at_an_end or self._narrow)):
            return replace(search, found=True)
        if search.n_tried == _MOST_TRIALS:
            return replace(search, found=False)
        if fell and tried.slope >= 0.0:
            search = replace(search, seeks_decrease=False)
        tilted = search.seeks_decrease and not fell and tried.value <= self.best.value
        return search._narrowed(tried, float(least) if tilted else 0.0)

    @property
    def _at_an_end(self) -> bool:
        return not self.low < self.step < self.high

    @property
    def _narrow(self) -> bool:
        return self.high - self.low <= _NARROWEST * self.high

    def _narrowed(self, tried: Trial, tilt: float) -> LineSearch:
        """Return a search in the part of the interval that holds a good step."""
        best, other, here = (each.tilted(tilt) for each in (self.best, self.other, tried))
        higher, turned = here.value > best.value, best.slope * here.slope < 0.0
        bracketed = bool(self.bracketed or higher or turned)
        step = _next(best, other, here, self.bracketed, self.low, self.high)
        if higher:
            best, other = self.best, tried
        else:
            best, other = tried, self.best if turned else self.other
        low, high = step + 1.1 * (step - best.step), step + 4.0 * (step - best.step)
        width, width_before = self.width, self.width_before
        if bracketed:
            low, high = sorted((best.step, other.step))
            if high - low >= 0.66 * width_before:  # it shrinks too slowly
                step = best.step + 0.5 * (other.step - best.step)
            width, width_before = high - low, width
        step = float(np.clip(step, 0.0, LONGEST))
        search = replace(
            self,
            step=step,
            low=low,
            high=high,
            best=best,
            other=other,
            bracketed=bracketed,
            width=width,
            width_before=width_before,
        )
        if bracketed and (search._at_an_end or search._narrow):
            return replace(search, step=best.step)
        return search


def _next(
    best: Trial, other: Trial, here: Trial, bracketed: bool, low: float, high: float
) -> float:
    """Return the step to try after another."""
    if here.value > best.value:
        cubic, parabola = _cubic(best, here), _parabola(best, here)
        nearer = abs(cubic - best.step) <= abs(parabola - best.step)
        return cubic if nearer else cubic + (parabola - cubic) / 2.0
    if best.slope * here.slope < 0.0:
        cubic, secant = _cubic(here, best), _secant(here, best)
        return cubic if abs(cubic - here.step) > abs(secant - here.step) else secant
    end = high if here.step > best.step else low
    if abs(here.slope) < abs(best.slope):
        cubic, secant = _cubic_ahead(here, best, end), _secant(here, best)
        by_cubic, by_secant = abs(cubic - here.step), abs(secant - here.step)
        if not bracketed:
            return float(np.clip(cubic if by_cubic > by_secant else secant, low, high))
        most = here.step + 0.66 * (other.step - here.step)
        step = cubic if by_cubic < by_secant else secant
        return min(most, step) if here.step > best.step else max(most, step)
    return _cubic(here, other) if bracketed else end


def _cubic(a: Trial, b: Trial) -> float:
    """Return the minimum of the cubic through two points and their slopes."""
    gamma, theta = _gamma(a, b)
    share = (gamma - a.slope + theta) / (2.0 * gamma - a.slope + b.slope)
    return float(a.step + share * (b.step - a.step))


def _cubic_ahead(here: Trial, best: Trial, end: float) -> float:
    """Return the minimum of the cubic, where it lies beyond both points, or how far one may go."""
    gamma, theta = _gamma(here, best)
    share = (gamma - here.slope + theta) / (gamma + (best.slope - here.slope) + gamma)
    if share < 0.0 and gamma != 0.0:
        return float(here.step + share * (best.step - here.step))
    return end


def _gamma(a: Trial, b: Trial) -> tuple[np.float64, np.float64]:
    theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    size = max(abs(theta), abs(a.slope), abs(b.slope))
    root = np.sqrt(max(0.0, (theta / size) ** 2 - (a.slope / size) * (b.slope / size)))
    return np.copysign(size * root, b.step - a.step), theta


def _parabola(best: Trial, here: Trial) -> float:
    """Return the minimum of the parabola through two points, and the slope of the first."""
    width = here.step - best.step
    rise = (best.value - here.value) / width + best.slope
    return float(best.step + best.slope / rise / 2.0 * width)


def _secant(here: Trial, best: Trial) -> float:
    """Return where the slope would be zero if it went on as between two points."""
    share = here.slope / (here.slope - best.slope)
    return float(here.step + share * (best.step - here.step))
