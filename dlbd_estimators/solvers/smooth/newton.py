"""Newton's method with few passes.

Every step is one fused pass for value, gradient and Hessian, and a full Newton step from
there. What replaces a line search, which would cost passes of its own:

* the next pass shows whether the value fell enough; if not, the step is halved;
* the start is the solution of a sample of blocks;
* the first full pass also keeps the rows that matter most for how the Hessian changes along the
  step, and the step is corrected for what they see
  (:mod:`~dlbd_estimators.solvers.smooth.important_rows`);
* the same rows tell how far off that may leave a coefficient: six standard errors are the error,
  called an estimate;
* the decrement after the last step is bounded by generalised self-concordance, and with it the
  errors of the coefficients. Where that is less, or there are no such rows, it is the error, called
  a bound. No pass is spent on verifying either.

The bound: with ``R = max_i |x_i d|`` for a step ``d`` of decrement ``l``, the gradient left
after a full step is at most ``l (exp(R) - 1 - R) / R`` in the metric of the Hessian before it,
and ``exp(R/2)`` times that in the metric after it (Bach 2010, "Self-concordant analysis
for logistic regression"). ``R`` is bounded by the largest row norm times the step's norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance, ImportantRows
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor, dependent_columns, is_rough, rounding
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    fell_enough,
    halved,
    restarted_at_zero,
    sample_misled,
)
from dlbd_estimators.solvers.smooth.backtracking import rounding as noise_of
from dlbd_estimators.solvers.smooth.important_rows import corrected, enough_of, rule_of
from dlbd_estimators.solvers.smooth.preconditioner import across
from dlbd_estimators.solvers.smooth.separation import (
    ellipsoid_of,
    outlook,
    remainder,
)
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status

#: More slope than this, in standard units, where a Hessian seems singular is not rounding: columns
#: are so nearly dependent that the Hessian has no digits left for what their differences say.
_UNSEEN = 1e-13
#: The same of a decrement in units of the columns' spread.
_ACROSS = 1e-6
#: Steps that bring no nearer, and within rounding or far shorter than meant, after which no further
#: progress is expected.
_PATIENCE = 5
_SHORT = 0.1
#: Rows kept at a larger decrement than this are kept anew by the next pass, which is nearer.
_NEAR = 0.3
#: A coefficient is off by less than so many standard errors.
_STANDARD_ERRORS = 6.0
#: Rows of a sample for each parameter that suffice for a start.
_ROWS_PER_PARAMETER = 100


@dataclass(frozen=True)
class NewtonState(TrialState):
    """Adds what is known of rows and Hessians.

    Attributes
    ----------
    radius : float or None
        Largest scaled row norm, as soon as a full pass has brought it.
    rule : Importance or None
        Which rows the next pass is to keep.
    kept : ImportantRows or None
        Those that a pass has kept.
    hessian_dtype : str
        Precision of the next Hessian.
    given : bool
        The start was the user's.
    rank : int
        Largest of a Hessian's so far.
    best : float
        The least decrement so far.
    since_best : int
        Steps since.
    """

    radius: float | None = None
    rule: Importance | None = None
    kept: ImportantRows | None = None
    hessian_dtype: str = "float32"
    given: bool = False
    rank: int = 0
    best: float = np.inf
    since_best: int = 0


class Newton(Minimizer[NewtonState]):
    """Newton's method, warm-started by a sample of blocks and corrected by kept rows."""

    name: ClassVar[str] = "newton"
    state: ClassVar[type[State]] = NewtonState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "smooth"})

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[NewtonState]:
        if start is not None:
            return NewtonState(start, known=problem.known, given=True)
        if not problem.loss.quadratic:
            problem, warm = yield from warm_start(problem, "newton-sample", _samples(problem))
            if warm is not None:
                return NewtonState(
                    warm.parameters,
                    known=problem.known,
                    columns=warm.columns,
                    rule=rule_of(problem, warm.hessian, warm.columns, warm.weight),
                    from_sample=True,
                )
        return NewtonState(np.zeros(problem.packing.size), known=problem.known)

    def step(self, problem: Problem, state: NewtonState, tol: float) -> Asks[NewtonState]:
        columns = state.columns
        ellipsoid = None
        if columns is not None and state.radius is None:
            ellipsoid = ellipsoid_of(columns)
        here = yield from problem.evaluate(
            state.parameters,
            Order.HESSIAN,
            "newton-pass-{}",
            hessian_dtype=state.hessian_dtype,
            ellipsoid=ellipsoid,
            moments=columns is None,
            importance=state.rule,
        )
        problem = problem.at(here.known)
        state = replace(state, parameters=here.point, known=here.known)
        if sample_misled(problem, state, here.value):
            return replace(restarted_at_zero(state, here.value), rule=None)
        if not fell_enough(problem, state, here.value):
            return halved(state, here.value)
        assert here.hessian is not None
        columns = here.columns or columns
        assert columns is not None
        factor = Factor.of(here.hessian, Centring(problem.packing, columns.mean))
        hessian_error = rounding(state.hessian_dtype) * factor.condition
        step = problem.without_shift(-factor.solve(here.gradient))
        slope = -float(step @ here.gradient)
        decrement = float(np.sqrt(max(slope, 0.0))) / problem.unit
        radius = here.radius if ellipsoid is not None else state.radius
        ahead = yield from outlook(
            problem,
            step,
            columns,
            radius,
            decrement,
            "newton-largest-change",
            state.long_steps,
        )
        change, settled, long_steps = ahead
        rough = is_rough(factor, state.hessian_dtype)
        per_decrement = error_of_decrement(
            problem, state.parameters + step, columns.variance, factor.inverse_diagonal()
        )
        error = _bound(decrement, change, np.inf if rough else min(hessian_error, 1.0))
        told = error * per_decrement, "bound"
        rows = enough_of(problem, here.rows) or state.kept
        if told[0] > tol and rows is not None:
            rest = np.inf if rough else decrement * hessian_error + _smallest_decrement(factor)
            step, estimate = _corrected(problem, rows, here, step, factor, columns)
            told = min(told, (estimate + rest * per_decrement, "estimate"))
        rank = state.rank if rough else (yield from _rank(problem, state, factor))
        lost = _is_lost(problem, factor, here.gradient, columns)
        if lost or not settled:
            told = np.inf, "bound"
        status = None
        enough = max(tol / per_decrement, _smallest_decrement(factor))
        if settled and decrement <= enough and not rough:
            # No point is nearer: the gradient's own rounding hides the rest.
            told = told if lost else min(told, (decrement * per_decrement, "bound"))
            status = Status.STALLED if lost else Status.CONVERGED
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        vanished = problem.may_separate and not rough and factor.rank < rank
        if problem.separated(here):
            status = Status.SEPARABLE
        elif vanished or ahead.endless:
            # Along a way without curvature the step, of least norm, does not go on.
            told, status = (np.inf, "bound"), Status.QUASI_SEPARABLE
        elif status is None and since_best > _PATIENCE and not told[0] <= tol:
            noise = noise_of(problem, state, here.value)
            short = lost and state.tried_step < _SHORT
            status = Status.STALLED if short or slope <= noise else None
        anew = rows is None or decrement > _NEAR
        return replace(
            accepted(state, here, slope),
            parameters=state.parameters + (0.0 if status is Status.SEPARABLE else step),
            error=told[0],
            error_is=told[1],
            status=status,
            columns=columns,
            radius=radius,
            long_steps=long_steps,
            rule=rule_of(problem, here.hessian, columns, here.weight) if anew else None,
            kept=None if anew else rows,  # and not both at a time
            hessian_dtype="float64" if rough else state.hessian_dtype,
            rank=rank,
            best=min(decrement, state.best),
            since_best=since_best,
            dependent=dependent_columns(problem, factor) if not told[0] <= tol else (),
        )


def _corrected(
    problem: Problem,
    rows: ImportantRows,
    here: Evaluation,
    step: FloatArray,
    factor: Factor,
    columns: Columns,
) -> tuple[FloatArray, float]:
    """Return a step as kept rows correct it, and an estimate of the error that it leaves."""
    found = corrected(problem, rows, here, step, factor)
    if found is None:
        return step, np.inf
    standard_error = error_of_decrement(
        problem, here.point + found.step, columns.variance, found.variance
    )
    return found.step, _STANDARD_ERRORS * standard_error


def _rank(problem: Problem, state: NewtonState, factor: Factor) -> Asks[int]:
    """Return the largest rank of a Hessian so far; a lower one later means lost curvature.

    A start of the user's may lie where curvature has vanished already. There is most at zero.
    """
    singular = factor.rank < problem.packing.size
    if not (singular and problem.may_separate and state.rank == 0 and state.given):
        return max(state.rank, factor.rank)
    zero = np.zeros_like(state.parameters)
    there = yield from problem.evaluate(
        zero, Order.HESSIAN, "newton-curvature-at-zero", moments=True
    )
    assert there.hessian is not None
    assert there.columns is not None
    return Factor.of(there.hessian, Centring(problem.packing, there.columns.mean)).rank


def _bound(decrement: float, change: float, hessian_error: float) -> float:
    """Bound the decrement that a full step leaves."""
    if decrement == 0.0:  # and not times infinity
        return 0.0
    return decrement * (remainder(change) + hessian_error)


def _is_lost(problem: Problem, factor: Factor, gradient: FloatArray, columns: Columns) -> bool:
    """Tell whether a Hessian is too singular to explain the gradient."""
    if factor.rank == len(gradient):
        return False
    unseen = factor.unseen(gradient) > _UNSEEN * problem.unit
    return unseen or across(problem, gradient, columns) > _ACROSS


def _samples(problem: Problem) -> tuple[Sample, ...]:
    """Return the stages of the start: without the last, where that before has rows enough.

    The kept rows make up for what the start is off by, and read nothing again.
    """
    shorter = problem.samples[:-1]
    enough = _ROWS_PER_PARAMETER * problem.packing.size
    if shorter and problem.share(shorter[-1]) * (problem.n_rows or 0) >= enough:
        return shorter
    return problem.samples


def _smallest_decrement(factor: Factor) -> float:
    """Rounding of the gradient, as a decrement; if the matrix is singular, on its range."""
    return rounding("float64") * float(np.sqrt(min(factor.condition_on_range, 1e14)))
