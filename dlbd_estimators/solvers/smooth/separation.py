"""Distinguish a minimum from an unbounded descent (separable classes).

Suppose that there is no penalty, and that a single column determines the class of some rows (for
example, all rows with a certain category have the same class). The fit of these rows improves
without end as the coefficient grows, and the other rows are not affected. Then F has no minimiser,
although the gradient and the decrement go to zero. The Newton step does not go to zero: it changes
the predictions of these rows by about one, in every iteration. Near a minimiser, steps change the
predictions of all rows less and less.

A step ``d`` changes the prediction of a row by ``x_i d``. This is at most the largest norm of a
row, which a pass computes, times the norm of the step. If columns are nearly collinear, the bound
is far too large: a long step along their difference changes no prediction. So a pass measures the
change before a fit is reported to have no minimiser. One long step is no proof either: if a column
has a heavy tail, an extreme row may be fitted so well that a step without any gain changes its
prediction by hundreds. On the way to a minimiser, the next such step is much shorter; in an
unbounded descent it is about as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.changes import LargestChange, LargestChangeKernel
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.solver import PassGenerator

#: If predictions change by less than this, the curvature changes little, and a minimiser is near.
_SETTLED = 0.5
#: If all rows together can gain at most this, in units of one row's loss, a long step is a sign of
#: an unbounded descent.
_NOTHING_TO_GAIN = 1e-8
#: Number of consecutive long steps that show an unbounded descent.
_LONG_STEPS = 3
#: Each of them has at least this share of the length of the one before. Steps towards a minimiser
#: become shorter faster than that, even those of L-BFGS.
_AS_LONG = 0.5


def ellipsoid_of(columns: Columns) -> tuple[FloatArray, FloatArray]:
    """Return the centre and weights of the row norm, for a pass that finds the largest norm."""
    return columns.mean, columns.norm_weights


def ellipsoid_to_ask(
    problem: Problem, columns: Columns | None, radius: float | None
) -> tuple[FloatArray, FloatArray] | None:
    """Return the centre and weights of the row norm if the next pass has to find the largest."""
    if columns is None or radius is not None or not problem.may_separate:
        return None
    return ellipsoid_of(columns)


def largest_change(
    problem: Problem, step: FloatArray, columns: Columns | None, radius: float | None
) -> float:
    """Bound ``max_i |x_i v|`` over the directions ``v`` on which the curvature depends.

    Parameters
    ----------
    problem : Problem
        Provides the loss and the order of the parameters.
    step : ndarray
        The step, in the packed order.
    columns : Columns or None
        Moments of the columns.
    radius : float or None
        Largest norm of a row. The bound is infinite if this or ``columns`` is None.
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
    norms = (coef * coef) @ (1.0 / columns.norm_weights) + offset**2
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
    """The consecutive last steps that stayed long although there was nothing left to gain.

    Attributes
    ----------
    count : int
        Number of these steps.
    change : float
        The largest change of a prediction by the last of them.
    """

    count: int = 0
    change: float = 0.0

    def with_one(self, change: float) -> LongSteps:
        """Return the record after one more long step."""
        return LongSteps(self.count + 1 if change >= _AS_LONG * self.change else 1, change)


NO_LONG_STEPS = LongSteps()


class StepDiagnosis(NamedTuple):
    """What the length of a Newton step shows: a minimum is near, or the descent is unbounded.

    Attributes
    ----------
    change : float
        The largest change of a prediction, either a bound or measured.
    settled : bool
        Whether a minimiser is near.
    long_steps : LongSteps
        The long steps so far, including this step if it is one.
    """

    change: float
    settled: bool
    long_steps: LongSteps

    @property
    def is_unbounded(self) -> bool:
        """Whether F has no minimiser."""
        return self.long_steps.count >= _LONG_STEPS


def diagnose_step(
    problem: Problem,
    step: FloatArray,
    columns: Columns | None,
    radius: float | None,
    decrement: float,
    label: str,
    long_steps: LongSteps,
) -> PassGenerator[StepDiagnosis]:
    """Distinguish a minimum from an unbounded descent, by the length of a Newton step.

    If the largest row norm is not known yet, the root of the sum of all squared norms bounds it.
    A pass measures the change if there is nothing left to gain and the bound is large: the bound
    alone does not prove an unbounded descent.

    Parameters
    ----------
    problem, step, columns, radius
        As for :func:`largest_change`.
    decrement : float
        Newton decrement of the mean loss.
    label : str
        Name of the pass.
    long_steps : LongSteps
        The long steps before this step.
    """
    change = largest_change(problem, step, columns, radius)
    if not problem.may_separate:
        return StepDiagnosis(change, True, NO_LONG_STEPS)
    nothing_to_gain = decrement**2 * (problem.n_rows or 1) <= _NOTHING_TO_GAIN
    if nothing_to_gain and _SETTLED <= change < np.inf:
        change = yield from _measured_change(problem, step, label)
        if change < _SETTLED:
            return StepDiagnosis(change, True, NO_LONG_STEPS)
        return StepDiagnosis(change, False, long_steps.with_one(change))
    bound = change
    if radius is None and problem.n_rows is not None:
        widest = float(np.sqrt(problem.n_rows * problem.packing.shape[1]))
        bound = largest_change(problem, step, columns, widest)
    return StepDiagnosis(change, bound < _SETTLED, NO_LONG_STEPS)


def _measured_change(problem: Problem, step: FloatArray, label: str) -> PassGenerator[float]:
    packing, loss = problem.packing, problem.loss
    kernel = LargestChangeKernel(packing, loss.coupled, problem.known.subtracted)
    if not loss.coupled:  # for coupled outputs the kernel itself takes the differences
        step = loss.curvature_directions(step.reshape(packing.shape)).ravel()
    found: LargestChange = yield from problem.ask(kernel, step, label)
    return found.change
