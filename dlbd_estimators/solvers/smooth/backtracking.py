"""Backtracking: a full step is tried first; if F did not fall enough, the next pass tries half.

A line search would need passes of its own. Here the pass for the next step shows whether the last
one was good enough (Armijo's condition). Only if it was too long is this pass spent on shortening.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import MinimizerState
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.separation import NO_LONG_STEPS, LongSteps
from dlbd_estimators.solvers.status import Status

_MAX_HALVINGS = 40


@dataclass(frozen=True)
class TrialState(MinimizerState):
    """The state of a solver with backtracking: adds what accepting or shortening a step needs.

    Attributes
    ----------
    base, base_value : ndarray, float
        The last accepted point and its value.
    slope : float
        Initial rate of decrease of F along the full step.
    tried_step : float
        Share of the full step that leads from ``base`` to ``parameters``.
    columns : Columns or None
        Column moments; None until a pass has computed them.
    from_sample : bool
        The point is a sample's solution, which may be useless for all rows.
    long_steps : LongSteps
        The long steps that led to this point.
    """

    shapes: ClassVar[Shapes] = {"base": ("n_parameters",)}

    base: FloatArray | None = None
    base_value: float = np.inf
    slope: float = 0.0
    tried_step: float = 1.0
    columns: Columns | None = None
    from_sample: bool = False
    long_steps: LongSteps = NO_LONG_STEPS


StateT = TypeVar("StateT", bound=TrialState)


def sample_misled(problem: Problem, state: TrialState, value: float) -> bool:
    """Return whether a sample's solution is worse than zero, as for data sorted by class."""
    at_zero = problem.value_at_zero
    return state.from_sample and at_zero is not None and value > at_zero


def rounding(problem: Problem, state: TrialState, *values: float) -> float:
    """Return the possible rounding error of values of F, including cancellation in predictions.

    Columns that are nearly dependent may have large coefficients whose contributions cancel. The
    coefficients of the last accepted point are used: a trial step may be too long by any factor.
    """
    if state.columns is None or problem.loss.quadratic:
        return problem.rounding(*values)
    mean, variance = state.columns.mean, state.columns.variance
    point = state.parameters if state.base is None else state.base
    coef = np.abs(point.reshape(problem.packing.shape)[:, : len(mean)])
    size = float((coef @ np.sqrt(variance + mean**2)).max())
    return problem.rounding(*values) + float(np.finfo(float).eps) * size


def satisfies_armijo(problem: Problem, state: TrialState, value: float) -> bool:
    """Return whether the objective fell enough along the last step (Armijo's rule)."""
    if state.base is None:
        return True
    highest = state.base_value - 1e-4 * state.tried_step * state.slope
    if value <= highest:
        return True
    return value <= highest + rounding(problem, state, state.base_value, value)


def restarted_at_zero(state: StateT, value: float) -> StateT:
    """Return a state that begins again with all parameters zero."""
    zero = np.zeros_like(state.parameters)
    return replace(state, parameters=zero, value=value, from_sample=False)


def halved(state: StateT, value: float) -> StateT:
    """Return a state that tries half of the step, or ends if the step is already too short."""
    assert state.base is not None
    share = state.tried_step / 2
    if share < 2.0**-_MAX_HALVINGS:
        return stopped_at_base(state)
    return replace(
        state,
        parameters=state.base + (state.parameters - state.base) / 2,
        value=value,
        error=np.inf,
        step=share,
        tried_step=share,
        shortened=True,
    )


def stopped_at_base(state: StateT) -> StateT:
    """Return a state that ends at the last accepted point, because no shorter step helped."""
    assert state.base is not None
    return replace(
        state,
        parameters=state.base,
        value=state.base_value,
        error=np.inf,
        shortened=True,
        status=Status.STALLED,
    )


def accepted(state: StateT, evaluation: Evaluation, slope: float) -> StateT:
    """Return a state that accepts its parameters, and will make a step of the given slope."""
    return replace(
        state,
        value=evaluation.value,
        gradient_norm=float(np.abs(evaluation.gradient).max(initial=0.0)),
        step=state.tried_step,
        base=state.parameters,
        base_value=evaluation.value,
        slope=slope,
        tried_step=1.0,
        shortened=False,
        from_sample=False,
    )
