"""The state of gradient descent, the metric of its steps, and decrements in this metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance, ImportantRows
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.backtracking import TrialState
from dlbd_estimators.solvers.smooth.important_rows import estimated_hessian
from dlbd_estimators.solvers.smooth.preconditioner import Standardised


@dataclass(frozen=True)
class DescentState(TrialState):
    """The state of gradient descent: adds the metric, the last step and its curvature.

    Attributes
    ----------
    factor : Factor or None
        A sample's Hessian, which is the metric; None for the metric of standardised columns.
    rule : Importance or None
        Rule by which the next pass keeps rows.
    kept : ImportantRows or None
        Rows that a pass has kept.
    base_gradient : ndarray
        The gradient at ``base``.
    origin, origin_gradient : ndarray or None
        The point where the last step began, and the gradient there.
    length : float
        The length of the last step.
    curvatures : tuple of float
        Curvatures along the last steps, relative to those of the metric.
    decrement, rate : float
        The decrement at ``origin``, and the share of the decrement that the step before has left.
    best, since_best : float, int
        The smallest decrement, and the number of steps since.
    radius : float or None
        Largest norm of a row; None until a pass has computed it.
    n_settled : int
        Number of consecutive last steps that showed that a minimum is near.
    """

    shapes: ClassVar[Shapes] = {
        "base_gradient": ("n_parameters or 0",), "origin": ("n_parameters",),
        "origin_gradient": ("n_parameters",),
    }  # fmt: skip

    factor: Factor | None = None
    rule: Importance | None = None
    kept: ImportantRows | None = None
    base_gradient: FloatArray = field(default_factory=lambda: np.zeros(0))
    origin: FloatArray | None = None
    origin_gradient: FloatArray | None = None
    length: float = 1.0
    curvatures: tuple[float, ...] = ()
    decrement: float = np.inf
    rate: float = 1.0
    best: float = np.inf
    since_best: int = 0
    radius: float | None = None
    n_settled: int = 0


def metric_of(problem: Problem, state: DescentState) -> Factor | Standardised:
    """Return the metric of the next step: a sample's Hessian, or the standardised columns."""
    assert state.columns is not None
    return state.factor or Standardised(problem, state.columns)


def with_metric_of_rows(problem: Problem, state: DescentState, rows: ImportantRows) -> DescentState:
    """Return a state whose metric is the Hessian of kept rows at the current point, if regular."""
    assert state.columns is not None
    hessian = estimated_hessian(problem, rows, state.parameters)
    factor = Factor.of(hessian, Centring(problem.packing, state.columns.mean))
    if factor.rank < problem.packing.size:
        return state
    length = 1.0 if state.factor is None else state.length
    # The old curvatures and the old decrement belong to the old metric.
    return replace(state, factor=factor, length=length, curvatures=(), best=np.inf)


def share_left(
    problem: Problem, state: DescentState, gradient: FloatArray, metric: Factor | Standardised
) -> float:
    """Return the share of the decrement that the last step left; 1 before the first step."""
    if state.origin is None or state.decrement == 0.0:
        return 1.0
    return decrement_of(problem, gradient, metric) / state.decrement


def decrement_of(problem: Problem, gradient: FloatArray, metric: Factor | Standardised) -> float:
    """Return the length of a gradient in the inverse metric, without units."""
    return float(np.sqrt(max(float(gradient @ metric.solve(gradient)), 0.0))) / problem.unit
