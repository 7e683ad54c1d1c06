"""Tell a minimum from a descent that has no end (separable classes).

Without a penalty, rows that a column decides alone (those of a dummy that are all of one class) are
fitted ever better as its coefficient grows, at no cost to the others: F has no minimiser, and yet
gradient and decrement go to zero. The next step does not: Newton's changes the predictions of those
rows by about one, for ever. Near a minimiser steps change the predictions of all rows less and
less.

A step ``d`` changes a row's prediction by ``x_i d``. That is at most the largest norm of a row,
which a pass brings, times the step's norm. Where columns are nearly collinear the bound is far too
large: a long step along their difference moves no prediction. So before a fit is told to have no
minimiser, a pass measures the change. And one long step is no proof: where a column has a heavy
tail, a row far out is fitted so well that a step which gains nothing may move it by hundreds.
The next such step is a small share of it on the way to a minimiser, and as long on one without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.changes import LargestChange, LargestChangeKernel
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.solver import Asks

#: Within this change of predictions curvature stays of its size: a minimiser is near.
_SETTLED = 0.5
#: Where all rows together can gain no more than this, in units of one row's loss, and steps are
#: still long, no row stands in the way.
_NOTHING_TO_GAIN = 1e-8
#: Such steps in a row that tell of a way without end,
_LONG_STEPS = 3
#: each at least this share of the one before. Even L-BFGS makes shorter ones towards a minimiser.
_AS_LONG = 0.5


def ellipsoid_of(columns: Columns) -> tuple[FloatArray, FloatArray]:
    """Return centre and weights of a row's norm, for a pass that is to find the largest."""
    return columns.mean, ellipsoid_scale(columns)


def ellipsoid_to_ask(
    problem: Problem, columns: Columns | None, radius: float | None
) -> tuple[FloatArray, FloatArray] | None:
    """Return what the next pass has to find the largest norm of a row by, if that is wanted."""
    if columns is None or radius is not None or not problem.may_separate:
        return None
    return ellipsoid_of(columns)


def ellipsoid_scale(columns: Columns) -> FloatArray:
    """Weights of a row's norm: one over the variance; any positive weights are valid."""
    spread = columns.variance.copy()
    constant = ~(spread > 0)
    spread[constant] = np.maximum(columns.mean[constant] ** 2, 1.0)
    return np.asarray(1.0 / spread)


def largest_change(
    problem: Problem, step: FloatArray, columns: Columns | None, radius: float | None
) -> float:
    """Bound ``max_i |x_i v|`` over the directions ``v`` that steer the curvature.

    Parameters
    ----------
    problem : Problem
        Gives loss and packing.
    step : ndarray
        In the packed order.
    columns : Columns or None
        Moments of the columns.
    radius : float or None
        Largest norm of a row; infinite where it or the columns are not known.
    """
    if problem.loss.quadratic:
        return 0.0
    if columns is None or radius is None:
        return np.inf
    packing = problem.packing
    rows = problem.loss.curvature_directions(step.reshape(packing.shape))
    coef = rows[:, : packing.n_features]
    offset = coef @ columns.mean
    if packing.fit_intercept:
        offset = offset + rows[:, -1]
    norms = (coef * coef) @ (1.0 / ellipsoid_scale(columns)) + offset**2
    return radius * float(np.sqrt(norms.max()))


def remainder(change: float) -> float:
    """Return the share of a decrement that a Newton step leaves, by self-concordance.

    ``exp(R/2) (exp(R) - 1 - R) / R`` for a largest change ``R`` of a prediction; see
    :mod:`~dlbd_estimators.solvers.smooth.newton`.
    """
    if change < 1e-4:
        return 0.5 * change * (1.0 + change)
    if change > 20.0:
        return np.inf
    return float(np.exp(change / 2) * (np.expm1(change) - change) / change)


@dataclass(frozen=True)
class LongSteps:
    """The last steps in a row that were long, and as long, where there was nothing left to gain.

    Attributes
    ----------
    count : int
        How many.
    change : float
        The largest change of a prediction by the last of them.
    """

    count: int = 0
    change: float = 0.0

    def with_one(self, change: float) -> LongSteps:
        """Return what is known with one more."""
        return LongSteps(self.count + 1 if change >= _AS_LONG * self.change else 1, change)


NO_LONG_STEPS = LongSteps()


class Outlook(NamedTuple):
    """What the length of a Newton step shows: a minimum near, or a descent without end.

    Attributes
    ----------
    change : float
        The largest change of a prediction: a bound, or measured.
    settled : bool
        A minimiser is near.
    long_steps : LongSteps
        With this step, if it is one.
    """

    change: float
    settled: bool
    long_steps: LongSteps

    @property
    def endless(self) -> bool:
        """Whether F has no minimiser."""
        return self.long_steps.count >= _LONG_STEPS


def outlook(
    problem: Problem,
    step: FloatArray,
    columns: Columns | None,
    radius: float | None,
    decrement: float,
    label: str,
    long_steps: LongSteps,
) -> Asks[Outlook]:
    """Tell a minimum from a descent without end, by a Newton step.

    Where the largest row norm is not known yet, it is at most the root of the sum of their squares.
    The change is measured, by a pass, where there is nothing to gain and the bound alone would
    say that there is no end.

    Parameters
    ----------
    problem, step, columns, radius
        As for :func:`largest_change`.
    decrement : float
        Newton decrement of the mean loss.
    label : str
        Names the pass.
    long_steps : LongSteps
        Until now.
    """
    change = largest_change(problem, step, columns, radius)
    if not problem.may_separate:
        return Outlook(change, True, NO_LONG_STEPS)
    spent = decrement**2 * (problem.n_rows or 1) <= _NOTHING_TO_GAIN
    if spent and _SETTLED <= change < np.inf:
        change = yield from _measured_change(problem, step, label)
        if change < _SETTLED:
            return Outlook(change, True, NO_LONG_STEPS)
        return Outlook(change, False, long_steps.with_one(change))
    bound = change
    if radius is None and problem.n_rows is not None:
        widest = float(np.sqrt(problem.n_rows * problem.packing.shape[1]))
        bound = largest_change(problem, step, columns, widest)
    return Outlook(change, bound < _SETTLED, NO_LONG_STEPS)


def _measured_change(problem: Problem, step: FloatArray, label: str) -> Asks[float]:
    centre = problem.centre if problem.centre.any() else None
    packing, loss = problem.packing, problem.loss
    kernel = LargestChangeKernel(packing, loss.coupled, centre)
    if not loss.coupled:  # of coupled outputs the kernel itself looks at the differences
        step = loss.curvature_directions(step.reshape(packing.shape)).ravel()
    found: LargestChange = yield from problem.ask(kernel, step, label)
    return found.change
