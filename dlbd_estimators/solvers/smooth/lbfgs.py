"""L-BFGS in the metric of a sample's Hessian, one pass a step.

The two-loop recursion (Nocedal 1980) starts from an inverse Hessian of its own. Where a
sample of blocks can give one, that is used: the curvature pairs then only correct what the
sample got wrong, and 5-15 passes do where a scaled identity needs a hundred. Otherwise the
standardised columns are the metric. Where the steps do not gain on the error (the sample misled,
or curvature has changed since it was looked at), a pass over all rows brings the Hessian of where
the solver is, as a metric for the steps that follow. A unit step is tried first and shortened by
the next pass's verdict, so that no pass goes into a line search. The error reported is an
estimate: of the decrement that the metric gives, times what the last steps made of theirs, and of
the least curvature that they met; what they have not met is left some room for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.curvature_pairs import Pairs, two_loops
from dlbd_estimators.solvers.evaluation import Evaluation
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, Factor, dependent_columns
from dlbd_estimators.solvers.matrix_memory import holds
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    restarted_at_zero,
    rounding,
    sample_misled,
    stayed,
)
from dlbd_estimators.solvers.smooth.preconditioner import Standardised, across
from dlbd_estimators.solvers.smooth.separation import (
    ellipsoid_to_ask,
    outlook,
)
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status

_MEMORY = 20
_MAX_HALVINGS = 30
#: Steps within rounding noise after which no further progress is expected.
_PATIENCE = 25
#: Steps in a row that have to be short where classes may be separable: one may be so by chance.
_SETTLED_STEPS = 4
#: Without a Hessian nothing is known of directions that no step took. Where columns are nearly
#: dependent one of them is so flat that a gradient hardly shows it, and much is left there: an
#: error is taken for so many times what the directions met say.
_UNMET = 1e3
#: A step that leaves more than this share of the decrement before it is a poor one.
_POOR = 0.5
#: Poor steps in a row after which a metric that is a Hessian is formed anew,
_MAX_POOR = 3
#: and steps after which the standardised columns give way to one: before patience ends.
_MAX_WITHOUT_HESSIAN = 25
#: Where the last direction is taken; elsewhere the point it was found at is kept.
_GOING_ON = (None, Status.CONVERGED)


@dataclass(frozen=True)
class LBFGSState(TrialState):
    """Adds the last accepted gradient, curvature pairs, a Hessian and a row's norm.

    ``n_poor`` counts the steps that speak for a Hessian as the metric, or for a new one. The next
    pass forms it if ``renews``, and none ever does if ``singular``.
    """

    base_gradient: FloatArray = field(default_factory=lambda: np.zeros(0))
    pairs: Pairs = ()
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

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[LBFGSState]:
        warm, begin = None, np.zeros(problem.packing.size) if start is None else start
        fits = _fits(problem)
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

    def step(self, problem: Problem, state: LBFGSState, tol: float) -> Asks[LBFGSState]:
        ellipsoid = ellipsoid_to_ask(problem, state.columns, state.radius)
        here = yield from problem.evaluate(
            state.parameters,
            Order.HESSIAN if state.renews else Order.GRADIENT,
            "lbfgs-pass-{}",
            moments=state.columns is None,
            ellipsoid=ellipsoid,
        )
        problem = problem.at(here.known)
        state = replace(
            state,
            parameters=here.point,
            known=here.known,
            columns=here.columns if state.columns is None else state.columns,
            radius=state.radius if ellipsoid is None else here.radius,
        )
        assert state.columns is not None
        if sample_misled(problem, state, here.value):
            return replace(
                restarted_at_zero(state, here.value), factor=None, columns=None, renews=True
            )
        noise = rounding(problem, state, here.value)
        armijo = state.base_value - 1e-4 * state.tried_step * state.slope
        if here.value > armijo + noise:
            return _shorten(state, here.value, here.gradient)
        state = _renewed(problem, state, here)
        assert state.columns is not None
        metric = state.factor or Standardised(problem, state.columns)
        pairs = _with_last_move(state, here.gradient)
        inverse = two_loops(here.gradient, pairs, metric, rescale=state.factor is None)
        direction = problem.without_shift(-inverse)
        slope = -float(direction @ here.gradient)
        decrement = float(np.sqrt(max(slope, 0.0))) / problem.unit
        since_best = 0 if decrement < 0.9 * state.best_error else state.since_best + 1
        whole = state.tried_step == 1.0 and np.isfinite(state.decrement)
        rate = decrement / state.decrement if whole and state.decrement > 0 else 1.0
        error = np.inf
        if state.factor or pairs:
            # What the step about to be made leaves, if it does no better than a quarter as
            # well as the worse of the last two: no pass is spent on looking.
            error = decrement * min(1.0, 4.0 * max(rate, state.rate))
            error = max(error, across(problem, here.gradient, state.columns))
            error *= error_of_decrement(
                problem,
                state.parameters + direction,
                state.columns.variance,
                _inverse_diagonal(pairs, metric),
            )
        poor = rate > _POOR and np.isfinite(state.decrement)
        n_poor = state.n_poor + 1 if poor or state.factor is None else 0
        most = _MAX_POOR if state.factor else _MAX_WITHOUT_HESSIAN
        ahead = yield from outlook(
            problem,
            direction,
            state.columns,
            state.radius,
            decrement,
            "lbfgs-largest-change",
            state.long_steps,
        )
        n_settled = state.n_settled + 1 if ahead.settled else 0
        if problem.may_separate and n_settled < _SETTLED_STEPS:
            error = np.inf
        status = None
        if error <= tol:
            status = Status.CONVERGED
        elif problem.separated(here):
            status = Status.SEPARABLE
        elif ahead.endless:
            status = Status.QUASI_SEPARABLE
        elif since_best > _PATIENCE and slope <= noise:
            status = Status.STALLED
        return replace(
            accepted(state, here, slope),
            parameters=state.parameters + (direction if status in _GOING_ON else 0.0),
            error=error,
            status=status,
            base_gradient=here.gradient,
            pairs=pairs,
            best_error=min(decrement, state.best_error),
            since_best=since_best,
            decrement=decrement,
            rate=rate,
            n_settled=n_settled,
            long_steps=ahead.long_steps,
            n_poor=n_poor,
            renews=n_poor >= most and not state.singular,
        )


def _fits(problem: Problem) -> bool:
    size = problem.packing.size
    return size <= LARGEST_HESSIAN and holds(problem, size**2)


def _renewed(problem: Problem, state: LBFGSState, here: Evaluation) -> LBFGSState:
    """Take the Hessian at the current point as the metric, if it was asked for.

    A singular one says nothing of some directions: what is known of them stays.
    """
    if here.hessian is None:
        return state
    assert state.columns is not None
    factor = Factor.of(here.hessian, Centring(problem.packing, state.columns.mean))
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
        # Of another metric, and no measure for what this one gives.
        decrement=np.inf,
        best_error=np.inf,
        since_best=0,
        rate=1.0,
    )


def _with_last_move(state: LBFGSState, gradient: FloatArray) -> Pairs:
    """Add the curvature along the last move, unless it is only rounding."""
    if state.base is None:
        return state.pairs
    moved, turned = state.parameters - state.base, gradient - state.base_gradient
    if moved @ turned > 1e-14 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
        return (*state.pairs, (moved, turned))[-_MEMORY:]
    return state.pairs


def _shorten(state: LBFGSState, value: float, gradient: FloatArray) -> LBFGSState:
    """Go back and try a shorter step: the minimum of a parabola, within safe bounds."""
    assert state.base is not None
    step = state.tried_step
    excess = value - state.base_value + step * state.slope
    factor = float(np.clip(0.5 * step * state.slope / excess, 0.1, 0.5))
    shorter = step * factor
    if shorter < 2.0**-_MAX_HALVINGS:
        return stayed(state)
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


def _inverse_diagonal(pairs: Pairs, metric: Factor | Standardised) -> FloatArray:
    """Estimate the diagonal of the Hessian's inverse, for the error of each coefficient.

    A Hessian as the metric is taken to be right. Otherwise it is the metric's, with the least
    curvature that the steps met and room for what they did not.
    """
    if isinstance(metric, Factor):
        return metric.inverse_diagonal()
    least = min(
        float(moved @ turned) / float(np.sum(metric.coordinates(moved) ** 2))
        for moved, turned in pairs
    )
    return metric.inverse_diagonal() * (_UNMET**2 / least)
