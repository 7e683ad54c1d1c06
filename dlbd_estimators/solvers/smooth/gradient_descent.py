"""Accelerated block-wise gradient descent, one pass a step.

Nesterov's method in standardised coordinates (see
:mod:`~dlbd_estimators.solvers.smooth.preconditioner`), with two adaptations that cost no pass of
their own:

* backtracking: each pass checks the inequality that smoothness with constant L implies
  between two consecutive points, ``F(y) >= F(z) + g(z).(y - z) + |g(y) - g(z)|^2 / 2L``
  (Nesterov 2004, theorem 2.1.5); where it fails, L is doubled and the step repeated;
* restart of the momentum when it points uphill (O'Donoghue and Candes 2015).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.preconditioner import Standardised, across
from dlbd_estimators.solvers.smooth.separation import (
    NO_LONG_STEPS,
    LongSteps,
    ellipsoid_to_ask,
    outlook,
)
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status

#: Points over which the smallest curvature met is remembered.
_WINDOW = 20
_LARGEST_SMOOTHNESS = 1e30


@dataclass(frozen=True)
class DescentState(MinimizerState):
    """Adds, in standardised coordinates, what momentum and backtracking need.

    Attributes
    ----------
    trial : ndarray or None
        Where the next pass evaluates F.
    descended : ndarray or None
        The last point after a gradient step.
    accepted, accepted_value, accepted_gradient : ndarray, float, ndarray
        The last point that a pass evaluated and the smoothness check let through.
    momentum : float
        Nesterov's t.
    smoothness : float
        L.
    curvatures : tuple of float
        Curvatures along the last moves.
    columns, radius : Columns or None, float or None
        Moments of the columns and the largest norm of a row, as soon as passes have brought them.
    long_steps : LongSteps
        Of those towards this point.
    """

    trial: FloatArray | None = None
    descended: FloatArray | None = None
    accepted: FloatArray | None = None
    accepted_value: float = np.inf
    accepted_gradient: FloatArray | None = None
    momentum: float = 1.0
    smoothness: float = 1.0
    curvatures: tuple[float, ...] = ()
    columns: Columns | None = None
    radius: float | None = None
    long_steps: LongSteps = NO_LONG_STEPS


class GradientDescent(Minimizer[DescentState]):
    """Nesterov's accelerated gradient method."""

    name: ClassVar[str] = "gradient_descent"
    state: ClassVar[type[State]] = DescentState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[DescentState]:
        yield from ()  # it begins without a pass
        begin = np.zeros(problem.packing.size) if start is None else start
        return DescentState(begin, known=problem.known)

    def step(self, problem: Problem, state: DescentState, tol: float) -> Asks[DescentState]:
        point, trial = state.parameters, state.trial
        if state.columns is not None and trial is not None:
            point = Standardised(problem, state.columns).parameters(trial)
        ellipsoid = ellipsoid_to_ask(problem, state.columns, state.radius)
        here = yield from problem.evaluate(
            point,
            Order.GRADIENT,
            "gradient-descent-pass-{}",
            moments=trial is None,
            ellipsoid=ellipsoid,
        )
        problem = problem.at(here.known)
        columns = state.columns or here.columns
        assert columns is not None
        state = replace(state, known=here.known, columns=columns)
        if ellipsoid is not None:
            state = replace(state, radius=here.radius)
        metric = Standardised(problem, columns)
        if trial is None:
            trial = metric.coordinates(here.point)
            state = replace(state, descended=trial)
        assert state.descended is not None
        gradient = metric.gradient(here.gradient)
        if not _smooth(problem, state, trial, here.value, gradient):
            return _go_back(state, here.value)
        curvatures = _curvatures(state, trial, gradient)
        descended = trial - gradient / state.smoothness
        moved = descended - state.descended
        uphill = float(gradient @ moved) > 0
        previous = 1.0 if uphill else state.momentum
        momentum = (1.0 + np.sqrt(1.0 + 4.0 * previous**2)) / 2.0
        ahead = descended if uphill else descended + (previous - 1.0) / momentum * moved
        error, status, long_steps = np.inf, None, NO_LONG_STEPS
        if curvatures and min(curvatures) > 0:
            decrement = float(np.linalg.norm(gradient)) / np.sqrt(min(curvatures)) / problem.unit
            decrement = max(decrement, across(problem, here.gradient, columns))
            error = decrement * error_of_decrement(
                problem,
                metric.parameters(descended),
                columns.variance,
                metric.inverse_diagonal() / min(curvatures),
            )
            newton = metric.parameters(gradient / min(curvatures))
            way = yield from outlook(
                problem,
                newton,
                columns,
                state.radius,
                float(decrement),
                "gradient-descent-largest-change",
                state.long_steps,
            )
            long_steps = way.long_steps
            if way.endless:
                status = Status.QUASI_SEPARABLE
            if not way.settled:
                error = np.inf
        if not np.any(gradient):
            error = 0.0
        if problem.separated(here):
            status = Status.SEPARABLE
        return replace(
            state,
            parameters=metric.parameters(descended),
            value=here.value,
            error=float(error),
            gradient_norm=float(np.abs(here.gradient).max()),
            step=1.0 / state.smoothness,
            status=status,
            trial=ahead,
            descended=descended,
            accepted=trial,
            accepted_value=here.value,
            accepted_gradient=gradient,
            momentum=float(momentum),
            curvatures=curvatures,
            long_steps=long_steps,
        )


def _smooth(
    problem: Problem, state: DescentState, point: FloatArray, value: float, gradient: FloatArray
) -> bool:
    """Tell whether L explains the change from the last accepted point."""
    if state.accepted is None or state.accepted_gradient is None:
        return True
    turned = state.accepted_gradient - gradient
    lower = value + float(gradient @ (state.accepted - point))
    lower += float(turned @ turned) / (2.0 * state.smoothness)
    return state.accepted_value >= lower - problem.rounding(value, state.accepted_value)


def _go_back(state: DescentState, value: float) -> DescentState:
    """Repeat the step from the last accepted point with twice the smoothness."""
    assert state.accepted is not None
    assert state.accepted_gradient is not None
    smoothness = 2.0 * state.smoothness
    descended = state.accepted - state.accepted_gradient / smoothness
    return replace(
        state,
        value=value,
        error=np.inf,
        step=1.0 / smoothness,
        status=Status.STALLED if smoothness > _LARGEST_SMOOTHNESS else None,
        trial=descended,
        descended=descended,
        momentum=1.0,
        smoothness=smoothness,
    )


def _curvatures(state: DescentState, point: FloatArray, gradient: FloatArray) -> tuple[float, ...]:
    """Add the curvature along the last move to those remembered."""
    if state.accepted is None or state.accepted_gradient is None:
        return ()
    moved = point - state.accepted
    length = float(moved @ moved)
    if length == 0.0:
        return state.curvatures
    curvature = float((gradient - state.accepted_gradient) @ moved) / length
    return (*state.curvatures, curvature)[-_WINDOW:]
