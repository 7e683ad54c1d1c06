"""Gradient descent in the metric of a sample's Hessian, with momentum, one pass for each step.

A step goes along the gradient, multiplied by the inverse of M, the Hessian of a sample, plus a
multiple of the last step (momentum: the heavy ball of Polyak 1964). M differs from the Hessian H of
all rows only by its sampling error, so that the condition number k of ``M^-1 H`` is near one,
whatever the columns are. Steps with the best momentum leave about the share
``(sqrt(k) - 1) / (sqrt(k) + 1)`` of the error, steps without momentum ``(k - 1) / (k + 1)``.

The best momentum depends on k, which is unknown. It is computed from the last two gradients
(:mod:`~dlbd_estimators.solvers.smooth.conjugate_step`): this is the method of conjugate gradients,
which is the heavy ball with the best coefficients for each step. They are exact for a quadratic
loss. For other losses, the curvature changes along a step. If F rises, the next pass tries a
shorter step from the last evaluated point, without momentum.

The sample is first one of blocks, which also gives the start. The first pass over all rows keeps
rows by their importance (:mod:`~dlbd_estimators.kernels.importance`), and their Hessian replaces
that of the blocks. It is formed again, from the same rows, at the end of a step that leaves more
than a quarter of the decrement. Without a sample (few rows, or one that does not determine all
parameters), the standardised columns define the metric. No pass forms a Hessian of all rows.

References for the metric: Shamir, Srebro and Zhang, "Communication-efficient distributed
optimization using an approximate Newton-type method", ICML 2014 (DANE); Hendrikx, Xiao, Bubeck,
Bach and Massoulie, "Statistically preconditioned accelerated gradient method for distributed
optimization", ICML 2020.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Evaluation
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.matrix_memory import matrices_fit
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.backtracking import (
    accepted,
    restarted_at_zero,
    rounding,
    sample_misled,
    satisfies_armijo,
    stopped_at_base,
)
from dlbd_estimators.solvers.smooth.conjugate_step import ConjugateStep, conjugate_step
from dlbd_estimators.solvers.smooth.descent_state import (
    DescentState,
    decrement_of,
    metric_of,
    share_left,
    with_metric_of_rows,
)
from dlbd_estimators.solvers.smooth.important_rows import importance_rule, usable_rows
from dlbd_estimators.solvers.smooth.preconditioner import hidden_decrement
from dlbd_estimators.solvers.smooth.separation import (
    diagnose_step,
    ellipsoid_to_ask,
    largest_change,
)
from dlbd_estimators.solvers.smooth.subsample_start import warm_start
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Limit on the bytes of the kept rows: more than for corrections of Newton's steps, because they
#: are the metric.
_ROWS_NBYTES = 5 * 2**20
#: Number of last steps from which the smallest curvature is taken.
_WINDOW = 20
#: Each step is at most this many times as long as the one before.
_GROWTH = 4.0
#: Curvature changes little along a step whose length is at most this, in the norm of the Hessian of
#: a mean loss.
_TRUSTED = 0.5
#: A step is not shortened below this length.
_SHORTEST = 2.0**-40
#: Steps within rounding error after which no further progress is expected.
_PATIENCE = 25
#: If classes may be separable, this many consecutive steps have to be short before the fit
#: converges: a single step may be short by chance. More of them in the metric of standardised
#: columns, in which a step hardly follows a direction without curvature.
_SETTLED_STEPS = 4
_SETTLED_IN_COLUMNS = 10
#: If classes may be separable, such steps change a prediction by at most this. A longer step could
#: lead to a point where the curvature of separable rows has vanished.
_LARGEST_CHANGE = 4.0
#: Safety factor on the share of the decrement that the coming step will leave.
_SAFETY = 4.0
#: With these statuses, the last step is made; otherwise the fit ends at the evaluated point.
_UNFINISHED = (None, Status.CONVERGED)
#: Safety factor on the error in the metric of standardised columns: steps show nothing about
#: directions that they did not explore.
_UNEXPLORED_FACTOR = 1e3
#: A step is poor if it leaves more than this share of the decrement.
_POOR = 0.25


class GradientDescent(Minimizer[DescentState]):
    """Gradient steps with momentum, in the metric of a sample's Hessian."""

    name: ClassVar[str] = "gradient_descent"
    state: ClassVar[type[State]] = DescentState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[DescentState]:
        size, warm = problem.packing.size, None
        if size <= LARGEST_HESSIAN and matrices_fit(problem, size**2):
            problem, warm = yield from warm_start(
                problem, "gradient-descent-sample", problem.samples
            )
        if warm is None:
            begin = np.zeros(size) if start is None else start
            return DescentState(begin, known=problem.known)
        factor = Factor.of(warm.hessian, Centring(problem.packing, warm.columns.mean))
        return DescentState(
            warm.parameters if start is None else start,
            known=problem.known,
            factor=factor if factor.rank == size else None,
            rule=importance_rule(problem, warm.hessian, warm.columns, warm.weight, _ROWS_NBYTES),
            from_sample=start is None,
        )

    def step(
        self, problem: Problem, state: DescentState, tol: float
    ) -> PassGenerator[DescentState]:
        ellipsoid = ellipsoid_to_ask(problem, state.columns, state.radius)
        evaluation = yield from problem.evaluate(
            state.parameters,
            Order.GRADIENT,
            "gradient-descent-pass-{}",
            moments=state.columns is None,
            ellipsoid=ellipsoid,
            importance=state.rule,
        )
        problem = problem.with_known(evaluation.known)
        columns = evaluation.columns if state.columns is None else state.columns
        assert columns is not None
        state = replace(
            state,
            parameters=evaluation.point,
            known=evaluation.known,
            columns=columns,
            radius=state.radius if ellipsoid is None else evaluation.radius,
            rule=None,
            kept=usable_rows(problem, evaluation.rows) or state.kept,
        )
        if sample_misled(problem, state, evaluation.value):
            return replace(restarted_at_zero(state, evaluation.value), factor=None)
        if not (problem.loss.quadratic or satisfies_armijo(problem, state, evaluation.value)):
            return _without_momentum(problem, state, evaluation)
        if state.kept is not None and state.rate > _POOR:
            state = with_metric_of_rows(problem, state, state.kept)
        state, here = _with_step(problem, state, evaluation)
        metric, least = metric_of(problem, state), min(state.curvatures, default=1.0)
        decrement = decrement_of(problem, here.gradient, metric)
        rate = share_left(problem, state, evaluation.gradient, metric)
        diagnosis = yield from diagnose_step(
            problem,
            here.origin - evaluation.point + here.step / least,
            columns,
            state.radius,
            decrement / float(np.sqrt(least)),
            "gradient-descent-largest-change",
            state.long_steps,
        )
        n_settled = state.n_settled + 1 if diagnosis.settled else 0
        error = np.inf
        if not np.any(evaluation.gradient):
            error = 0.0
        elif n_settled >= _steps_to_settle(problem, state):
            # No pass verifies the coming step: the last two estimate the share that it leaves.
            share = _SAFETY * max(rate, state.rate)
            error = _error(problem, state, evaluation.gradient, here, decrement, share)
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        slope = -float(here.gradient @ here.step)
        status = None
        if error <= tol:
            status = Status.CONVERGED
        elif problem.separates_rows(evaluation):
            status = Status.SEPARABLE
        elif diagnosis.is_unbounded:
            status = Status.QUASI_SEPARABLE
        elif since_best > _PATIENCE and slope <= rounding(problem, state, evaluation.value):
            status = Status.STALLED
        return replace(
            accepted(state, evaluation, slope),
            parameters=here.origin + here.step if status in _UNFINISHED else state.parameters,
            error=error,
            step=here.length,
            status=status,
            base_gradient=evaluation.gradient,
            origin=here.origin,
            origin_gradient=here.gradient,
            length=here.length,
            decrement=decrement,
            rate=rate,
            best=min(decrement, state.best),
            since_best=since_best,
            n_settled=n_settled,
            long_steps=diagnosis.long_steps,
        )


def _with_step(
    problem: Problem, state: DescentState, evaluation: Evaluation
) -> tuple[DescentState, ConjugateStep]:
    """Return the next step, and the state with the curvature along the last one."""
    begun = None
    if state.origin is not None and state.origin_gradient is not None:
        begun = state.origin, state.origin_gradient
    here = conjugate_step(
        evaluation.point,
        evaluation.gradient,
        begun,
        metric_of(problem, state),
        length=state.length,
        growth=_GROWTH,
        trusted=_trusted_distance(problem),
    )
    if here.curvature is not None:
        curvatures = (*state.curvatures, here.curvature)[-_WINDOW:]
        state = replace(state, curvatures=curvatures)
    step = problem.without_shift(here.step)
    if state.factor is None and problem.may_separate and state.radius is not None:
        change = largest_change(problem, step, state.columns, state.radius)
        step = step * (_LARGEST_CHANGE / max(change, _LARGEST_CHANGE))
    return state, here._replace(step=step)


def _steps_to_settle(problem: Problem, state: DescentState) -> int:
    """Return the number of consecutive short steps that show that a minimum is near."""
    if not problem.may_separate:
        return 0
    return _SETTLED_STEPS if state.factor else _SETTLED_IN_COLUMNS


def _trusted_distance(problem: Problem) -> float:
    """Return the distance within which curvature changes little, in the norm of the Hessian.

    Without a penalty, there is none: F has no minimum if some rows are separable, and is flat in
    the direction of their separation, where a step may be extended without end.
    """
    if problem.may_separate:
        return 0.0
    return np.inf if problem.loss.quadratic else _TRUSTED


def _error(
    problem: Problem,
    state: DescentState,
    gradient: FloatArray,
    here: ConjugateStep,
    decrement: float,
    share: float,
) -> float:
    """Estimate the error after the coming step, which leaves a share of the decrement.

    Steps in the metric of standardised columns are too unequal to predict this share. There, the
    decrement at the evaluated point is taken, which the coming step reduces.
    """
    assert state.columns is not None
    if state.factor is None and not state.curvatures:
        return np.inf
    metric, least = metric_of(problem, state), min(state.curvatures, default=1.0)
    point: FloatArray = here.origin + here.step
    left = min(share, 1.0) * decrement
    if state.factor is None:
        left, point = decrement_of(problem, gradient, metric), state.parameters
        least /= _UNEXPLORED_FACTOR**2
    left = max(left, hidden_decrement(problem, gradient, state.columns))
    return left * error_of_decrement(
        problem,
        point,
        state.columns.variance,
        metric.inverse_diagonal() / least,
    )


def _without_momentum(
    problem: Problem, state: DescentState, evaluation: Evaluation
) -> DescentState:
    """Return a state that tries a shorter step along the gradient of the last accepted point."""
    assert state.base is not None
    tried = state.parameters - state.base
    bend = float(tried @ (evaluation.gradient - state.base_gradient))
    share = 0.5
    if bend > 0:
        share = float(np.clip(-float(tried @ state.base_gradient) / bend, 0.1, 0.5))
    length = share * state.length
    if length < _SHORTEST:
        return stopped_at_base(state)
    descent = problem.without_shift(metric_of(problem, state).solve(state.base_gradient))
    return replace(
        state,
        parameters=state.base - length * descent,
        value=evaluation.value,
        error=np.inf,
        gradient_norm=float(np.abs(evaluation.gradient).max()),
        slope=length * float(state.base_gradient @ descent),
        step=length,
        origin=state.base,
        origin_gradient=state.base_gradient,
        length=length,
        shortened=True,
    )
