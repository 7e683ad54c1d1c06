"""Full steps are tried first; if the value did not fall enough, the next pass tries half.

A line search would cost passes of its own. Here the pass for the next step tells how good the last
one was (Armijo's condition), and only if it was too long is the pass spent on a shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.minimizer import MinimizerState
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.separation import NO_LONG_STEPS, LongSteps
from dlbd_estimators.solvers.status import Status

_MAX_HALVINGS = 40


@dataclass(frozen=True)
class TrialState(MinimizerState):
    """Adds what accepting or shortening a step needs.

    Attributes
    ----------
    base, base_value : ndarray, float
        The last accepted point and its value.
    slope : float
        Decrease that the whole step promised.
    tried_step : float
        Share of the step that ``parameters`` takes.
    columns : Columns or None
        Column moments, as soon as a pass has brought them.
    from_sample : bool
        The point is a sample's solution, and not yet known to be good for anything.
    long_steps : LongSteps
        Of those towards this point.
    """

    base: FloatArray | None = None
    base_value: float = np.inf
    slope: float = 0.0
    tried_step: float = 1.0
    columns: Columns | None = None
    from_sample: bool = False
    long_steps: LongSteps = NO_LONG_STEPS


StateT = TypeVar("StateT", bound=TrialState)


def sample_misled(problem: Problem, state: TrialState, value: float) -> bool:
    """Tell whether a sample's solution is worse than zero: data sorted by class, say."""
    at_zero = problem.value_at_zero
    return state.from_sample and at_zero is not None and value > at_zero


def rounding(problem: Problem, state: TrialState, *values: float) -> float:
    """Return how far values of F may be off by rounding, where predictions are small differences.

    Coefficients of columns that are nearly dependent are large, and what they add up to is not.
    Those of the last accepted point count: a step may be too long by any factor.
    """
    if state.columns is None or problem.loss.quadratic:
        return problem.rounding(*values)
    mean, variance = state.columns.mean, state.columns.variance
    point = state.parameters if state.base is None else state.base
    coef = np.abs(point.reshape(problem.packing.shape)[:, : len(mean)])
    size = float((coef @ np.sqrt(variance + mean**2)).max())
    return problem.rounding(*values) + float(np.finfo(float).eps) * size


def fell_enough(problem: Problem, state: TrialState, value: float) -> bool:
    """Tell whether the objective fell enough for the last step (Armijo's rule)."""
    if state.base is None:
        return True
    noise = rounding(problem, state, state.base_value, value)
    return value <= state.base_value - 1e-4 * state.tried_step * state.slope + noise


def restarted_at_zero(state: StateT, value: float) -> StateT:
    """Return a state that begins again at parameters of zero, where the objective is ``value``."""
    zero = np.zeros_like(state.parameters)
    return replace(state, parameters=zero, value=value, from_sample=False)


def halved(state: StateT, value: float) -> StateT:
    """Return a state that tries half of the step from the last accepted point, or stays there."""
    assert state.base is not None
    share = state.tried_step / 2
    if share < 2.0**-_MAX_HALVINGS:
        return stayed(state)
    return replace(
        state,
        parameters=state.base + (state.parameters - state.base) / 2,
        value=value,
        error=np.inf,
        step=share,
        tried_step=share,
        shortened=True,
    )


def stayed(state: StateT) -> StateT:
    """Return a state that ends at the last accepted point, since no step is short enough."""
    assert state.base is not None
    return replace(
        state,
        parameters=state.base,
        value=state.base_value,
        error=np.inf,
        shortened=True,
        status=Status.STALLED,
    )


def accepted(state: StateT, here: Evaluation, slope: float) -> StateT:
    """Return a state that has arrived, and is about to make a step of a given slope."""
    return replace(
        state,
        value=here.value,
        gradient_norm=float(np.abs(here.gradient).max(initial=0.0)),
        step=state.tried_step,
        base=state.parameters,
        base_value=here.value,
        slope=slope,
        tried_step=1.0,
        shortened=False,
        from_sample=False,
    )
