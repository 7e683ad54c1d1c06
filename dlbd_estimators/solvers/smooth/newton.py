"""Newton's method with few passes.

Every step is one fused pass for value, gradient and Hessian, and a full Newton step from
there. What replaces a line search, which would cost passes of its own:

* the next pass shows whether the value fell enough; if not, the step is halved;
* the start is the solution of a sample of blocks;
* after a full pass, the step is corrected for the change of the Hessian along it, as the
  sample sees that change (the sample's own bias cancels, since only differences of its
  gradient enter);
* the decrement after the last step is bounded by generalised self-concordance, and with it the
  errors of the coefficients, so that no pass is spent on verifying them.

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
    at_zero,
    fell_enough,
    halved,
    sample_misled,
)
from dlbd_estimators.solvers.smooth.backtracking import rounding as noise_of
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
#: Newton steps on the sample's higher-order terms after one full pass.
_MAX_CORRECTIONS = 3


@dataclass(frozen=True)
class NewtonState(TrialState):
    """Adds what is known of rows and Hessians.

    Attributes
    ----------
    radius : float or None
        Largest scaled row norm, as soon as a full pass has brought it.
    sample : tuple of int or None
        Blocks of the sample.
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
    sample: Sample | None = None
    hessian_dtype: str = "float32"
    given: bool = False
    rank: int = 0
    best: float = np.inf
    since_best: int = 0


class Newton(Minimizer[NewtonState]):
    """Newton's method, warm-started and corrected by a sample of blocks."""

    name: ClassVar[str] = "newton"
    state: ClassVar[type[State]] = NewtonState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "smooth"})

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[NewtonState]:
        if start is not None:
            known, sample = problem.known, _correction_sample(problem)
            return NewtonState(start, known=known, sample=sample, given=True)
        if not problem.loss.quadratic:
            problem, warm = yield from warm_start(problem, "newton-sample")
            if warm is not None:
                return NewtonState(
                    warm.parameters,
                    known=problem.known,
                    columns=warm.columns,
                    sample=_correction_sample(problem),
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
        )
        problem = problem.at(here.known)
        state = replace(state, parameters=here.point, known=here.known)
        if sample_misled(problem, state, here.value):
            return replace(at_zero(state, here.value), sample=None)
        if not fell_enough(problem, state, here.value):
            return halved(state, here.value)
        assert here.hessian is not None
        columns = here.columns or columns
        assert columns is not None
        centring = Centring(problem.packing, columns.mean)
        factor = Factor.of(here.hessian, centring)
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
        error *= per_decrement
        if error > tol and change < 1.0 and state.sample is not None:
            step = yield from self._correction(problem, state, here, step, centring)
        rank = state.rank if rough else (yield from _rank(problem, state, factor))
        lost = _is_lost(problem, factor, here.gradient, columns)
        if lost or not settled:
            error = np.inf
        status = None
        enough = max(tol / per_decrement, _smallest_decrement(factor))
        if settled and decrement <= enough and not rough:
            # No point is nearer: the gradient's own rounding hides the rest.
            error = np.inf if lost else min(error, decrement * per_decrement)
            status = Status.STALLED if lost else Status.CONVERGED
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        vanished = problem.may_separate and not rough and factor.rank < rank
        if problem.separated(here):
            status = Status.SEPARABLE
        elif vanished or ahead.endless:
            # Along a way without curvature the step, of least norm, does not go on.
            error, status = np.inf, Status.QUASI_SEPARABLE
        elif status is None and since_best > _PATIENCE and not error <= tol:
            noise = noise_of(problem, state, here.value)
            short = lost and state.tried_step < _SHORT
            status = Status.STALLED if short or slope <= noise else None
        return replace(
            accepted(state, here, slope),
            parameters=state.parameters + (0.0 if status is Status.SEPARABLE else step),
            error=error,
            error_is="bound",
            status=status,
            columns=columns,
            radius=radius,
            long_steps=long_steps,
            hessian_dtype="float64" if rough else state.hessian_dtype,
            rank=rank,
            best=min(decrement, state.best),
            since_best=since_best,
            dependent=dependent_columns(problem, factor) if not error <= tol else (),
        )

    def _correction(
        self,
        problem: Problem,
        state: NewtonState,
        here: Evaluation,
        step: FloatArray,
        centring: Centring,
    ) -> Asks[FloatArray]:
        """Correct a Newton step for how the sample sees the Hessian change along it.

        The step goes to the minimiser of F's quadratic model plus the sample's terms of
        higher order, by Newton's method on that sum.
        """
        assert state.sample is not None
        assert here.hessian is not None
        hessian = here.hessian
        before = yield from self._on_sample(problem, state, np.zeros_like(step))
        if not np.isfinite(before.value):  # a sample that weighs nothing
            return step
        total, first = step, 0.0
        unknown = problem.sampling_error(state.sample)
        for _ in range(_MAX_CORRECTIONS):
            after = yield from self._on_sample(problem, state, total)
            assert before.hessian is not None
            assert after.hessian is not None
            residual = here.gradient + hessian @ total
            residual += after.gradient - before.gradient - before.hessian @ total
            bent = Factor.of(hessian + after.hessian - before.hessian, centring)
            move = problem.without_shift(-bent.solve(residual))
            size = float(np.sqrt(max(float(move @ hessian @ move), 0.0)))
            # Trust it only as far as it is small beside the step it corrects.
            if not size <= 0.5 * float(np.sqrt(step @ hessian @ step)):
                return step
            total, first = total + move, first or size
            # The sample's higher-order terms are themselves off by about this share.
            if size <= first * unknown:
                break
        return total

    def _on_sample(
        self, problem: Problem, state: NewtonState, step: FloatArray
    ) -> Asks[Evaluation]:
        return problem.evaluate(
            state.parameters + step,
            Order.HESSIAN,
            "newton-sample",
            indices=state.sample,
            hessian_dtype=state.hessian_dtype,
        )


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


def _correction_sample(problem: Problem) -> Sample | None:
    """Return the last stage but one: three evaluations there cost less than one more."""
    return problem.samples[-2:][0] if problem.samples else None


def _smallest_decrement(factor: Factor) -> float:
    """Rounding of the gradient, as a decrement; if the matrix is singular, on its range."""
    return rounding("float64") * float(np.sqrt(min(factor.condition_on_range, 1e14)))
