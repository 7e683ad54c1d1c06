"""Nesterov's accelerated gradient descent, one pass for each step.

It works in standardised coordinates (see
:mod:`~dlbd_estimators.solvers.smooth.preconditioner`), with two adaptations that need no extra
pass:

* backtracking: each pass checks the inequality that smoothness with constant L implies
  between two consecutive points, ``F(y) >= F(z) + g(z).(y - z) + |g(y) - g(z)|^2 / 2L``
  (Nesterov 2004, theorem 2.1.5); where it fails, L is doubled and the step repeated;
* restart of the momentum when it points uphill (O'Donoghue and Candes 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.preconditioner import Standardised, hidden_decrement
from dlbd_estimators.solvers.smooth.separation import (
    NO_LONG_STEPS,
    LongSteps,
    diagnose_step,
    ellipsoid_to_ask,
)
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Number of last steps from which the smallest curvature is taken.
_WINDOW = 20
_LARGEST_SMOOTHNESS = 1e30


@dataclass(frozen=True)
class NesterovState(MinimizerState):
    """The state of :class:`Nesterov`: adds what momentum and backtracking need.

    Points and gradients are in standardised coordinates, except for ``parameters``.

    Attributes
    ----------
    trial : ndarray or None
        The point at which the next pass evaluates F.
    descended : ndarray or None
        The last point after a gradient step.
    accepted, accepted_value, accepted_gradient : ndarray, float, ndarray
        The last evaluated point that passed the smoothness check, with its value and gradient.
    momentum : float
        Nesterov's t.
    smoothness : float
        The smoothness constant L.
    curvatures : tuple of float
        Curvatures along the last steps.
    columns, radius : Columns or None, float or None
        Moments of the columns and the largest norm of a row; None until passes have computed them.
    long_steps : LongSteps
        The long steps that led to this point.
    """

    shapes: ClassVar[Shapes] = {
        "trial": ("n_parameters",), "descended": ("n_parameters",), "accepted": ("n_parameters",),
        "accepted_gradient": ("n_parameters",),
    }  # fmt: skip

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


class Nesterov(Minimizer[NesterovState]):
    """Nesterov's accelerated gradient method."""

    name: ClassVar[str] = "nesterov"
    state: ClassVar[type[State]] = NesterovState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[NesterovState]:
        yield from ()  # it begins without a pass
        begin = np.zeros(problem.packing.size) if start is None else start
        return NesterovState(begin, known=problem.known)

    def step(
        self, problem: Problem, state: NesterovState, tol: float
    ) -> PassGenerator[NesterovState]:
        point, trial = state.parameters, state.trial
        if state.columns is not None and trial is not None:
            point = Standardised(problem, state.columns).parameters(trial)
        ellipsoid = ellipsoid_to_ask(problem, state.columns, state.radius)
        evaluation = yield from problem.evaluate(
            point,
            Order.GRADIENT,
            "nesterov-pass-{}",
            moments=trial is None,
            ellipsoid=ellipsoid,
        )
        problem = problem.with_known(evaluation.known)
        columns = state.columns or evaluation.columns
        assert columns is not None
        state = replace(state, known=evaluation.known, columns=columns)
        if ellipsoid is not None:
            state = replace(state, radius=evaluation.radius)
        metric = Standardised(problem, columns)
        if trial is None:
            trial = metric.coordinates(evaluation.point)
            state = replace(state, descended=trial)
        assert state.descended is not None
        gradient = metric.gradient(evaluation.gradient)
        if not _is_smooth_enough(problem, state, trial, evaluation.value, gradient):
            return _backtrack(state, evaluation.value)
        curvatures = _curvatures(state, trial, gradient)
        descended = trial - gradient / state.smoothness
        displacement = descended - state.descended
        uphill = float(gradient @ displacement) > 0
        previous = 1.0 if uphill else state.momentum
        momentum = (1.0 + np.sqrt(1.0 + 4.0 * previous**2)) / 2.0
        extrapolated = (
            descended if uphill else descended + (previous - 1.0) / momentum * displacement
        )
        error, status, long_steps = np.inf, None, NO_LONG_STEPS
        if curvatures and min(curvatures) > 0:
            decrement = float(np.linalg.norm(gradient)) / np.sqrt(min(curvatures)) / problem.unit
            decrement = max(decrement, hidden_decrement(problem, evaluation.gradient, columns))
            error = decrement * error_of_decrement(
                problem,
                metric.parameters(descended),
                columns.variance,
                metric.inverse_diagonal() / min(curvatures),
            )
            newton = metric.parameters(gradient / min(curvatures))
            diagnosis = yield from diagnose_step(
                problem,
                newton,
                columns,
                state.radius,
                float(decrement),
                "nesterov-largest-change",
                state.long_steps,
            )
            long_steps = diagnosis.long_steps
            if diagnosis.is_unbounded:
                status = Status.QUASI_SEPARABLE
            if not diagnosis.settled:
                error = np.inf
        if not np.any(gradient):
            error = 0.0
        if problem.separates_rows(evaluation):
            status = Status.SEPARABLE
        return replace(
            state,
            parameters=metric.parameters(descended),
            value=evaluation.value,
            error=float(error),
            gradient_norm=float(np.abs(evaluation.gradient).max()),
            step=1.0 / state.smoothness,
            status=status,
            trial=extrapolated,
            descended=descended,
            accepted=trial,
            accepted_value=evaluation.value,
            accepted_gradient=gradient,
            momentum=float(momentum),
            curvatures=curvatures,
            long_steps=long_steps,
        )


def _is_smooth_enough(
    problem: Problem, state: NesterovState, point: FloatArray, value: float, gradient: FloatArray
) -> bool:
    """Return whether the change from the last accepted point is possible with smoothness L."""
    if state.accepted is None or state.accepted_gradient is None:
        return True
    gradient_change = state.accepted_gradient - gradient
    lower = value + float(gradient @ (state.accepted - point))
    lower += float(gradient_change @ gradient_change) / (2.0 * state.smoothness)
    return state.accepted_value >= lower - problem.rounding(value, state.accepted_value)


def _backtrack(state: NesterovState, value: float) -> NesterovState:
    """Repeat the step from the last accepted point with twice the smoothness."""
    assert state.accepted is not None
    assert state.accepted_gradient is not None
    smoothness = 2.0 * state.smoothness
    # Without momentum, the next step does not depend on `descended`.
    return replace(
        state,
        value=value,
        error=np.inf,
        step=1.0 / smoothness,
        status=Status.STALLED if smoothness > _LARGEST_SMOOTHNESS else None,
        trial=state.accepted - state.accepted_gradient / smoothness,
        momentum=1.0,
        smoothness=smoothness,
    )


def _curvatures(state: NesterovState, point: FloatArray, gradient: FloatArray) -> tuple[float, ...]:
    """Return the last curvatures, with the one along the last step."""
    if state.accepted is None or state.accepted_gradient is None:
        return ()
    displacement = point - state.accepted
    length = float(displacement @ displacement)
    if length == 0.0:
        return state.curvatures
    curvature = float((gradient - state.accepted_gradient) @ displacement) / length
    return (*state.curvatures, curvature)[-_WINDOW:]
