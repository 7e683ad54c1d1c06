"""Newton's method with few passes.

Every step is one fused pass for value, gradient and Hessian, followed by a full Newton step. A line
search would need passes of its own. Instead:

* the next pass shows whether the value fell enough; if not, the step is halved;
* the start is the solution of a sample of blocks;
* the first full pass also keeps the rows that contribute most to the change of the Hessian along
  the step, and these rows correct the step
  (:mod:`~dlbd_estimators.solvers.smooth.important_rows`);
* the same rows give the standard error that remains for each coefficient; six standard errors are
  reported as the error, called an estimate;
* generalised self-concordance bounds the decrement after the last step, and so the errors of the
  coefficients. If this bound is smaller than the estimate, or if there are no such rows, it is
  reported as the error, called a bound. No pass verifies the bound or the estimate.

The bound: with ``R = max_i |x_i d|`` for a step ``d`` of decrement ``l``, the gradient left
after a full step is at most ``l (exp(R) - 1 - R) / R`` in the metric of the Hessian before it,
and ``exp(R/2)`` times that in the metric after it (Bach 2010, "Self-concordant analysis
for logistic regression"). ``R`` is bounded by the largest row norm times the step's norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance, ImportantRows
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import Factor, dependent_columns, needs_float64, rounding
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    halved,
    restarted_at_zero,
    sample_misled,
    satisfies_armijo,
)
from dlbd_estimators.solvers.smooth.backtracking import rounding as noise_of
from dlbd_estimators.solvers.smooth.important_rows import (
    corrected,
    importance_rule,
    most_rows,
    squares_underflow_float32,
    usable_rows,
)
from dlbd_estimators.solvers.smooth.preconditioner import hidden_decrement
from dlbd_estimators.solvers.smooth.separation import (
    diagnose_step,
    ellipsoid_of,
    remainder,
)
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Largest part of the gradient outside the range of a singular Hessian, in standard units, that is
#: only rounding. If it is larger, columns are so nearly dependent that the Hessian has no correct
#: digits for their differences.
_NULL_COMPONENT = 1e-13
#: Largest decrement, measured with the columns' standard deviations, that is only rounding.
_HIDDEN_DECREMENT = 1e-6
#: Steps without a smaller decrement after which no further progress is expected, if the slope is
#: only rounding error or the last step was shortened to less than the share ``_SHORT``.
_PATIENCE = 5
_SHORT = 0.1
#: If the decrement is larger than this, the next pass, which is nearer to the minimum, keeps rows
#: again.
_NEAR = 0.3
#: The error of a coefficient is taken to be below this many standard errors.
_STANDARD_ERRORS = 6.0
#: A sample is enough for a start if it has this number of rows for each parameter, and if their
#: product with the kept rows for each parameter is at least so large: kept rows correct its error.
_ROWS_PER_PARAMETER = 100
_ENOUGH_ROWS = 20_000


@dataclass(frozen=True)
class NewtonState(TrialState):
    """The state of :class:`Newton`: adds what passes have shown about rows and Hessians.

    Attributes
    ----------
    radius : float or None
        Largest scaled row norm; None until a full pass has computed it.
    rule : Importance or None
        Rule by which the next pass keeps rows.
    kept : ImportantRows or None
        Rows that a pass has kept.
    hessian_dtype : str
        Precision of the next Hessian.
    given : bool
        Whether the user gave the start.
    rank : int
        Largest rank of a Hessian so far.
    best : float
        The smallest decrement so far.
    since_best : int
        Number of steps since the smallest decrement.
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

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[NewtonState]:
        if start is not None:
            return NewtonState(start, known=problem.known, given=True)
        if not problem.loss.quadratic:
            problem, warm = yield from warm_start(problem, "newton-sample", _samples(problem))
            if warm is not None:
                return NewtonState(
                    warm.parameters,
                    known=problem.known,
                    columns=warm.columns,
                    rule=importance_rule(problem, warm.hessian, warm.columns, warm.weight),
                    from_sample=True,
                )
        return NewtonState(np.zeros(problem.packing.size), known=problem.known)

    def step(self, problem: Problem, state: NewtonState, tol: float) -> PassGenerator[NewtonState]:
        evaluation = yield from _evaluate(problem, state)
        columns = evaluation.columns or state.columns
        assert columns is not None
        first = state.base is None and state.hessian_dtype == "float32"
        if first and squares_underflow_float32(columns):
            problem = problem.with_known(evaluation.known)
            state = replace(state, parameters=evaluation.point, hessian_dtype="float64")
            evaluation = yield from _evaluate(problem, state)
        problem = problem.with_known(evaluation.known)
        radius = state.radius if _ellipsoid(state) is None else evaluation.radius
        state = replace(state, parameters=evaluation.point, known=evaluation.known)
        if sample_misled(problem, state, evaluation.value):
            return replace(restarted_at_zero(state, evaluation.value), rule=None)
        if not satisfies_armijo(problem, state, evaluation.value):
            return halved(state, evaluation.value)
        assert evaluation.hessian is not None
        factor = Factor.of(evaluation.hessian, Centring(problem.packing, columns.mean))
        hessian_error = rounding(state.hessian_dtype) * factor.condition
        step = problem.without_shift(-factor.solve(evaluation.gradient))
        slope = -float(step @ evaluation.gradient)
        decrement = math.sqrt(max(slope, 0.0)) / problem.unit
        diagnosis = yield from diagnose_step(
            problem,
            step,
            columns,
            radius,
            decrement,
            "newton-largest-change",
            state.long_steps,
        )
        change, settled, long_steps = diagnosis
        rough = needs_float64(factor, state.hessian_dtype)
        per_decrement = error_of_decrement(
            problem, state.parameters + step, columns.variance, factor.inverse_diagonal()
        )
        error = _remaining_decrement(
            decrement, change, np.inf if rough else min(hessian_error, 1.0)
        )
        reported = error * per_decrement, "bound"
        rows = usable_rows(problem, evaluation.rows) or state.kept
        if reported[0] > tol and rows is not None:
            other_errors = (
                np.inf if rough else decrement * hessian_error + _smallest_decrement(factor)
            )
            step, estimate = _corrected(problem, rows, evaluation, step, factor, columns)
            reported = min(reported, (estimate + other_errors * per_decrement, "estimate"))
        rank = state.rank if rough else (yield from _rank(problem, state, factor))
        lost = _is_unexplained(problem, factor, evaluation.gradient, columns)
        if lost or not settled:
            reported = np.inf, "bound"
        status = None
        enough = max(tol / per_decrement, _smallest_decrement(factor))
        if settled and decrement <= enough and not rough:
            # No nearer point can be found: the rounding of the gradient hides a smaller decrement.
            reported = reported if lost else min(reported, (decrement * per_decrement, "bound"))
            status = Status.STALLED if lost else Status.CONVERGED
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        vanished = problem.may_separate and not rough and factor.rank < rank
        if problem.separates_rows(evaluation):
            status = Status.SEPARABLE
        elif vanished or diagnosis.is_unbounded:
            # The step has least norm, so it does not follow a direction without curvature.
            reported, status = (np.inf, "bound"), Status.QUASI_SEPARABLE
        elif status is None and since_best > _PATIENCE and not reported[0] <= tol:
            noise = noise_of(problem, state, evaluation.value)
            short = lost and state.tried_step < _SHORT
            status = Status.STALLED if short or slope <= noise else None
        keep_again = rows is None or decrement > _NEAR
        return replace(
            accepted(state, evaluation, slope),
            parameters=state.parameters + (0.0 if status is Status.SEPARABLE else step),
            error=reported[0],
            error_is=reported[1],
            status=status,
            columns=columns,
            radius=radius,
            long_steps=long_steps,
            rule=importance_rule(problem, evaluation.hessian, columns, evaluation.weight)
            if keep_again
            else None,
            kept=None if keep_again else rows,  # never together with a rule
            hessian_dtype="float64" if rough else state.hessian_dtype,
            rank=rank,
            best=min(decrement, state.best),
            since_best=since_best,
            dependent=dependent_columns(problem, factor) if not reported[0] <= tol else (),
        )


def _evaluate(problem: Problem, state: NewtonState) -> PassGenerator[Evaluation]:
    """Request the pass of a step: F, its derivatives, and facts that no pass has found before."""
    return problem.evaluate(
        state.parameters,
        Order.HESSIAN,
        "newton-pass-{}",
        hessian_dtype=state.hessian_dtype,
        ellipsoid=_ellipsoid(state),
        moments=state.columns is None,
        importance=state.rule,
    )


def _ellipsoid(state: NewtonState) -> tuple[FloatArray, FloatArray] | None:
    """Return the row norm if the next pass has to find the largest norm of a row."""
    if state.columns is None or state.radius is not None:
        return None
    return ellipsoid_of(state.columns)


def _corrected(
    problem: Problem,
    rows: ImportantRows,
    evaluation: Evaluation,
    step: FloatArray,
    factor: Factor,
    columns: Columns,
) -> tuple[FloatArray, float]:
    """Return the step corrected by the kept rows, and an estimate of the error after it."""
    found = corrected(problem, rows, evaluation, step, factor)
    if found is None:
        return step, np.inf
    standard_error = error_of_decrement(
        problem, evaluation.point + found.step, columns.variance, found.variance
    )
    return found.step, _STANDARD_ERRORS * standard_error


def _rank(problem: Problem, state: NewtonState, factor: Factor) -> PassGenerator[int]:
    """Return the largest rank of a Hessian so far; a lower rank later means lost curvature.

    At a start from the user, curvature may have vanished already. Then the rank is that at zero,
    where the curvature is largest.
    """
    singular = factor.rank < problem.packing.size
    if not (singular and problem.may_separate and state.rank == 0 and state.given):
        return max(state.rank, factor.rank)
    zero = np.zeros_like(state.parameters)
    at_zero = yield from problem.evaluate(
        zero, Order.HESSIAN, "newton-curvature-at-zero", moments=True
    )
    assert at_zero.hessian is not None
    assert at_zero.columns is not None
    return Factor.of(at_zero.hessian, Centring(problem.packing, at_zero.columns.mean)).rank


def _remaining_decrement(decrement: float, change: float, hessian_error: float) -> float:
    """Bound the decrement that a full step leaves."""
    if decrement == 0.0:  # zero times infinity would be NaN
        return 0.0
    return decrement * (remainder(change) + hessian_error)


def _is_unexplained(
    problem: Problem, factor: Factor, gradient: FloatArray, columns: Columns
) -> bool:
    """Return whether the Hessian is so nearly singular that it does not explain the gradient."""
    if factor.rank == len(gradient):
        return False
    outside_range = factor.null_component_norm(gradient) > _NULL_COMPONENT * problem.unit
    return outside_range or hidden_decrement(problem, gradient, columns) > _HIDDEN_DECREMENT


def _samples(problem: Problem) -> tuple[Sample, ...]:
    """Return the samples for the start, without the last one if the one before has enough rows."""
    shorter, size = problem.samples[:-1], problem.packing.size
    if shorter:
        sampled = problem.share(shorter[-1]) * (problem.n_rows or 0) / size
        kept = most_rows(problem) / size
        if sampled >= _ROWS_PER_PARAMETER and sampled * kept >= _ENOUGH_ROWS:
            return shorter
    return problem.samples


def _smallest_decrement(factor: Factor) -> float:
    """Return the rounding error of the gradient as a decrement, on the range of the Hessian."""
    return rounding("float64") * math.sqrt(min(factor.condition_on_range, 1e14))
