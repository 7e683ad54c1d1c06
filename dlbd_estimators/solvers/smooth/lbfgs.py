"""L-BFGS with the Hessian of a sample as its initial metric, one pass for each step.

The two-loop recursion (Nocedal 1980) starts from an initial inverse Hessian. If a sample of blocks
can provide it, it is used: the curvature pairs then only correct the sampling error, and 5-15
passes are enough where a scaled identity needs a hundred. Otherwise the standardised columns define
the metric. If the steps do not reduce the error (because the sample was misleading, or because the
curvature has changed), a pass over all rows forms the Hessian at the current point, which becomes
the metric of the following steps.

A unit step is tried first. The next pass shows whether it has to be shortened, so that no pass is
spent on a line search. The reported error is an estimate. It is the decrement in the metric, times
the ratio by which the last steps reduced the decrement. It also uses the smallest curvature along
these steps, with a safety factor for directions that no step has explored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.curvature_pairs import Pairs, two_loop_recursion
from dlbd_estimators.solvers.evaluation import Evaluation
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, Factor, dependent_columns
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.matrix_memory import matrices_fit
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    restarted_at_zero,
    rounding,
    sample_misled,
    stopped_at_base,
)
from dlbd_estimators.solvers.smooth.preconditioner import Standardised, hidden_decrement
from dlbd_estimators.solvers.smooth.separation import (
    diagnose_step,
    ellipsoid_to_ask,
)
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

_MEMORY = 20
_MAX_HALVINGS = 30
#: Steps within rounding error after which no further progress is expected.
_PATIENCE = 25
#: If classes may be separable, this many consecutive steps have to be short before the fit
#: converges: a single step may be short by chance.
_SETTLED_STEPS = 4
#: Safety factor on the error if no Hessian is known. Then the steps show nothing about directions
#: that they did not explore. If columns are nearly dependent, F is so flat in one such direction
#: that the gradient hardly shows it, although the minimum may be far away.
_UNEXPLORED_FACTOR = 1e3
#: A step is poor if it leaves more than this share of the previous decrement.
_POOR = 0.5
#: Consecutive poor steps after which the Hessian that is the metric is formed again.
_MAX_POOR = 3
#: Steps after which a Hessian replaces the standardised columns as the metric. This happens before
#: ``_PATIENCE`` ends the fit.
_MAX_WITHOUT_HESSIAN = 25
#: With these statuses, the last step is made; otherwise the fit ends at the evaluated point.
_UNFINISHED = (None, Status.CONVERGED)


@dataclass(frozen=True)
class LBFGSState(TrialState):
    """The state of :class:`LBFGS`: adds the last gradient, the curvature pairs and the metric.

    ``factor`` is the Hessian that is the metric, if there is one, and ``radius`` the largest norm
    of a row. ``curvatures`` has the curvature along the step of each pair, relative to the metric;
    it is empty if the metric is a Hessian. ``n_poor`` counts the steps that are a reason to form a
    new Hessian. The next pass forms it if ``renews`` is True; no pass does if ``singular`` is True.
    """

    shapes: ClassVar[Shapes] = {"base_gradient": ("n_parameters or 0",), "pairs": ("n_parameters",)}

    base_gradient: FloatArray = field(default_factory=lambda: np.zeros(0))
    pairs: Pairs = ()
    curvatures: tuple[float, ...] = ()
    factor: Factor | None = None
    best_error: float = np.inf
    since_best: int = 0
    decrement: float = np.inf
    rate: float = 1.0
    radius: float | None = None
    n_settled: int = 0
    n_poor: int = 0
    renews: bool = False
    singular: bool = False


class LBFGS(Minimizer[LBFGSState]):
    """Limited-memory BFGS, preconditioned by a sample of blocks."""

    name: ClassVar[str] = "lbfgs"
    state: ClassVar[type[State]] = LBFGSState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[LBFGSState]:
        warm, begin = None, np.zeros(problem.packing.size) if start is None else start
        fits = _hessian_fits(problem)
        if fits:
            problem, warm = yield from warm_start(problem, "lbfgs-sample", problem.samples)
        if warm is not None:
            return LBFGSState(
                warm.parameters if start is None else start,
                known=problem.known,
                factor=Factor.of(warm.hessian, Centring(problem.packing, warm.columns.mean)),
                from_sample=start is None,
                columns=warm.columns,
            )
        renews = fits and bool(problem.samples)
        return LBFGSState(begin, known=problem.known, renews=renews, singular=not fits)

    def step(self, problem: Problem, state: LBFGSState, tol: float) -> PassGenerator[LBFGSState]:
        ellipsoid = ellipsoid_to_ask(problem, state.columns, state.radius)
        evaluation = yield from problem.evaluate(
            state.parameters,
            Order.HESSIAN if state.renews else Order.GRADIENT,
            "lbfgs-pass-{}",
            moments=state.columns is None,
            ellipsoid=ellipsoid,
        )
        problem = problem.with_known(evaluation.known)
        state = replace(
            state,
            parameters=evaluation.point,
            known=evaluation.known,
            columns=evaluation.columns if state.columns is None else state.columns,
            radius=state.radius if ellipsoid is None else evaluation.radius,
        )
        assert state.columns is not None
        if sample_misled(problem, state, evaluation.value):
            return replace(
                restarted_at_zero(state, evaluation.value), factor=None, columns=None, renews=True
            )
        noise = rounding(problem, state, evaluation.value)
        armijo = state.base_value - 1e-4 * state.tried_step * state.slope
        if evaluation.value > armijo + noise:
            return _shorten(state, evaluation.value, evaluation.gradient)
        state = _with_new_metric(problem, state, evaluation)
        assert state.columns is not None
        metric = state.factor or Standardised(problem, state.columns)
        pairs, curvatures = _with_last_move(state, evaluation.gradient, metric)
        inverse = two_loop_recursion(
            evaluation.gradient, pairs, metric, rescale=state.factor is None
        )
        direction = problem.without_shift(-inverse)
        slope = -float(direction @ evaluation.gradient)
        decrement = float(np.sqrt(max(slope, 0.0))) / problem.unit
        since_best = 0 if decrement < 0.9 * state.best_error else state.since_best + 1
        full_step = state.tried_step == 1.0 and np.isfinite(state.decrement)
        rate = decrement / state.decrement if full_step and state.decrement > 0 else 1.0
        error = np.inf
        if state.factor or curvatures:
            # No pass verifies the decrement after the coming step. It is estimated from the larger
            # ratio of the last two steps, times four for safety.
            error = decrement * min(1.0, 4.0 * max(rate, state.rate))
            error = max(error, hidden_decrement(problem, evaluation.gradient, state.columns))
            error *= error_of_decrement(
                problem,
                state.parameters + direction,
                state.columns.variance,
                _inverse_diagonal(curvatures, metric),
            )
        poor = rate > _POOR and np.isfinite(state.decrement)
        n_poor = state.n_poor + 1 if poor or state.factor is None else 0
        max_poor = _MAX_POOR if state.factor else _MAX_WITHOUT_HESSIAN
        # Within rounding error, steps are poor with any Hessian.
        limited = state.singular or (state.factor is not None and slope <= noise)
        diagnosis = yield from diagnose_step(
            problem,
            direction,
            state.columns,
            state.radius,
            decrement,
            "lbfgs-largest-change",
            state.long_steps,
        )
        n_settled = state.n_settled + 1 if diagnosis.settled else 0
        if problem.may_separate and n_settled < _SETTLED_STEPS:
            error = np.inf
        status = None
        if error <= tol:
            status = Status.CONVERGED
        elif problem.separates_rows(evaluation):
            status = Status.SEPARABLE
        elif diagnosis.is_unbounded:
            status = Status.QUASI_SEPARABLE
        elif since_best > _PATIENCE and slope <= noise:
            status = Status.STALLED
        return replace(
            accepted(state, evaluation, slope),
            parameters=state.parameters + (direction if status in _UNFINISHED else 0.0),
            error=error,
            status=status,
            base_gradient=evaluation.gradient,
            pairs=pairs,
            curvatures=curvatures,
            best_error=min(decrement, state.best_error),
            since_best=since_best,
            decrement=decrement,
            rate=rate,
            n_settled=n_settled,
            long_steps=diagnosis.long_steps,
            n_poor=n_poor,
            renews=n_poor >= max_poor and not limited,
        )


def _hessian_fits(problem: Problem) -> bool:
    size = problem.packing.size
    return size <= LARGEST_HESSIAN and matrices_fit(problem, size**2)


def _with_new_metric(problem: Problem, state: LBFGSState, evaluation: Evaluation) -> LBFGSState:
    """Return a state with the Hessian at the current point as its metric, if the pass formed it.

    A singular Hessian gives no information about some directions: then the old metric stays.
    """
    if evaluation.hessian is None:
        return state
    assert state.columns is not None
    factor = Factor.of(evaluation.hessian, Centring(problem.packing, state.columns.mean))
    singular = factor.rank < problem.packing.size
    dependent = dependent_columns(problem, factor)
    state = replace(state, renews=False, n_poor=0, singular=singular, dependent=dependent)
    if singular:
        return state
    return replace(
        state,
        factor=factor,
        base=None,
        pairs=(),
        curvatures=(),
        # These values belong to the old metric and do not compare with those of the new one.
        decrement=np.inf,
        best_error=np.inf,
        since_best=0,
        rate=1.0,
    )


def _with_last_move(
    state: LBFGSState, gradient: FloatArray, metric: Factor | Standardised
) -> tuple[Pairs, tuple[float, ...]]:
    """Return the pairs with the one of the last step, unless its curvature is only rounding.

    The second result is their curvatures. They are kept, because the metric stays the same.
    """
    if state.base is None:
        return state.pairs, state.curvatures
    s, y = state.parameters - state.base, gradient - state.base_gradient
    along = float(s @ y)
    if along > 1e-14 * float(np.linalg.norm(s) * np.linalg.norm(y)):
        pairs = (*state.pairs, (s, y))[-_MEMORY:]
        if isinstance(metric, Factor):
            return pairs, ()
        return pairs, (*state.curvatures, along / metric.square_norm(s))[-_MEMORY:]
    return state.pairs, state.curvatures


def _shorten(state: LBFGSState, value: float, gradient: FloatArray) -> LBFGSState:
    """Return a state that tries a shorter step: to the minimum of a parabola, within bounds."""
    assert state.base is not None
    step = state.tried_step
    excess = value - state.base_value + step * state.slope
    factor = float(np.clip(0.5 * step * state.slope / excess, 0.1, 0.5))
    shorter = step * factor
    if shorter < 2.0**-_MAX_HALVINGS:
        return stopped_at_base(state)
    return replace(
        state,
        parameters=state.base + (state.parameters - state.base) * factor,
        value=value,
        error=np.inf,
        gradient_norm=float(np.abs(gradient).max()),
        step=shorter,
        tried_step=shorter,
        shortened=True,
    )


def _inverse_diagonal(curvatures: tuple[float, ...], metric: Factor | Standardised) -> FloatArray:
    """Estimate the diagonal of the inverse Hessian, for the error of each coefficient.

    A metric that is a Hessian is taken to be right. Otherwise the inverse metric is divided by the
    smallest curvature along the steps, and multiplied by a safety factor for other directions.
    """
    if isinstance(metric, Factor):
        return metric.inverse_diagonal()
    return metric.inverse_diagonal() * (_UNEXPLORED_FACTOR**2 / min(curvatures))
