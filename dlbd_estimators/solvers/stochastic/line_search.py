"""Line search for a step that meets the strong Wolfe conditions (Moré and Thuente 1994).

These require a sufficient decrease of the function and of its slope. Each trial narrows an interval
that contains such a step, with the cubic through two points and their slopes, or with a parabola.
The parameters are those of SciPy's L-BFGS-B. With them the first trial is nearly always accepted,
which matters because each trial costs a pass over the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

#: Least decrease, as a share of the decrease that the initial slope predicts.
_DECREASE = 1e-3
#: Largest slope at the end of the step, as a share of the initial slope.
_CURVATURE = 0.9
#: An interval is not narrowed below this share of its upper end.
_NARROWEST = 0.1
LONGEST = 1e10
_MOST_TRIALS = 20


class Trial(NamedTuple):
    """A step, with the value and the slope of the function at its end."""

    step: float
    value: np.float64
    slope: np.float64

    def tilted(self, slope: float) -> Trial:
        """Return the trial for the function minus a line of this slope."""
        return Trial(self.step, self.value - self.step * slope, self.slope - slope)


@dataclass(frozen=True)
class LineSearch:
    """The state of a line search: evaluate at ``step``, then continue with :meth:`advance`.

    Attributes
    ----------
    begin : Trial
        The beginning of the line, where the slope is negative.
    step : float
        The step to try next or, after the end of the search, the last step tried.
    low, high : float
        Bounds on the step.
    best, other : Trial
        The ends of the interval: the best step so far, and the other end.
    bracketed : bool
        Whether an acceptable step lies between them.
    seeks_decrease : bool
        Whether the search is in its first stage: no trial has had both a sufficient decrease and
        a slope that is not negative.
    width, width_before : float
        Width of the interval now, and one trial before.
    n_tried : int
        Number of trials so far.
    found : bool or None
        Whether ``step`` is acceptable; None while the search continues.
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
        """Return the initial state of a search.

        Parameters
        ----------
        value, slope : float
            Value and slope of the function at the beginning of the line. If the slope is not
            negative, the search ends without a step.
        step : float
            The first step to try.
        """
        begin = Trial(0.0, np.float64(value), np.float64(slope))
        found = None if slope < 0.0 else False
        return cls(begin, step, 0.0, 5.0 * step, begin, begin, found=found)

    def advance(self, value: float, slope: float) -> LineSearch:
        """Return the search after a trial."""
        tried = Trial(self.step, np.float64(value), np.float64(slope))
        required_slope = _DECREASE * self.begin.slope
        enough = self.begin.value + self.step * required_slope
        fell = bool(tried.value <= enough)
        search = replace(self, n_tried=self.n_tried + 1)
        if fell and abs(tried.slope) <= -_CURVATURE * self.begin.slope:
            return replace(search, found=True)
        # Because of rounding the interval has no better step, or the function is unbounded below.
        unbounded = self.step == LONGEST and fell and tried.slope <= required_slope
        if unbounded or (self.bracketed and (self._at_an_end or self._narrow)):
            return replace(search, found=True)
        if search.n_tried == _MOST_TRIALS:
            return replace(search, found=False)
        if fell and tried.slope >= 0.0:
            search = replace(search, seeks_decrease=False)
        tilted = search.seeks_decrease and not fell and tried.value <= self.best.value
        return search._narrowed(tried, float(required_slope) if tilted else 0.0)

    @property
    def _at_an_end(self) -> bool:
        return not self.low < self.step < self.high

    @property
    def _narrow(self) -> bool:
        return self.high - self.low <= _NARROWEST * self.high

    def _narrowed(self, tried: Trial, tilt: float) -> LineSearch:
        """Return the search in the part of the interval that contains an acceptable step."""
        best, other, trial = (each.tilted(tilt) for each in (self.best, self.other, tried))
        higher, sign_changed = trial.value > best.value, best.slope * trial.slope < 0.0
        bracketed = bool(self.bracketed or higher or sign_changed)
        step = _next(best, other, trial, self.bracketed, self.low, self.high)
        if higher:
            best, other = self.best, tried
        else:
            best, other = tried, self.best if sign_changed else self.other
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
    best: Trial, other: Trial, trial: Trial, bracketed: bool, low: float, high: float
) -> float:
    """Return the step to try after the trial ``trial``, from the best and the other trial."""
    if trial.value > best.value:
        cubic, parabola = _cubic(best, trial), _parabola(best, trial)
        nearer = abs(cubic - best.step) <= abs(parabola - best.step)
        return cubic if nearer else cubic + (parabola - cubic) / 2.0
    if best.slope * trial.slope < 0.0:
        cubic, secant = _cubic(trial, best), _secant(trial, best)
        return cubic if abs(cubic - trial.step) > abs(secant - trial.step) else secant
    end = high if trial.step > best.step else low
    if abs(trial.slope) < abs(best.slope):
        cubic, secant = _cubic_ahead(trial, best, end), _secant(trial, best)
        by_cubic, by_secant = abs(cubic - trial.step), abs(secant - trial.step)
        if not bracketed:
            return float(np.clip(cubic if by_cubic > by_secant else secant, low, high))
        limit = trial.step + 0.66 * (other.step - trial.step)
        step = cubic if by_cubic < by_secant else secant
        return min(limit, step) if trial.step > best.step else max(limit, step)
    return _cubic(trial, other) if bracketed else end


def _cubic(a: Trial, b: Trial) -> float:
    """Return the minimum of the cubic through two points and their slopes."""
    gamma, theta = _gamma(a, b)
    share = (gamma - a.slope + theta) / (2.0 * gamma - a.slope + b.slope)
    return float(a.step + share * (b.step - a.step))


def _cubic_ahead(trial: Trial, best: Trial, end: float) -> float:
    """Return the minimum of the cubic if it lies beyond both points, else the bound ``end``."""
    gamma, theta = _gamma(trial, best)
    share = (gamma - trial.slope + theta) / (gamma + (best.slope - trial.slope) + gamma)
    if share < 0.0 and gamma != 0.0:
        return float(trial.step + share * (best.step - trial.step))
    return end


def _gamma(a: Trial, b: Trial) -> tuple[np.float64, np.float64]:
    theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    size = max(abs(theta), abs(a.slope), abs(b.slope))
    root = np.sqrt(max(0.0, (theta / size) ** 2 - (a.slope / size) * (b.slope / size)))
    return np.copysign(size * root, b.step - a.step), theta


def _parabola(best: Trial, trial: Trial) -> float:
    """Return the minimum of the parabola through two points with the slope at the first."""
    width = trial.step - best.step
    rise = (best.value - trial.value) / width + best.slope
    return float(best.step + best.slope / rise / 2.0 * width)


def _secant(trial: Trial, best: Trial) -> float:
    """Return the zero of the linear function through the slopes at two points."""
    share = trial.slope / (trial.slope - best.slope)
    return float(trial.step + share * (best.step - trial.step))
