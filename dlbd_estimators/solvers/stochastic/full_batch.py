"""L-BFGS for networks: few parameters, full passes, no mini-batches.

A step follows the direction that the last curvature pairs define, and a line search determines its
length. Each trial of the line search is one pass, and nearly always one trial is enough. If the
pairs give no descent, they are deleted, and the step follows the negative gradient. All choices are
those of SciPy's L-BFGS-B, so the steps are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.engine.passes import Pass
from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.network_kernels import NetworkKernel, NetworkSums
from dlbd_estimators.solvers.curvature_pairs import Pairs, two_loop_recursion
from dlbd_estimators.solvers.problem import check_weight
from dlbd_estimators.solvers.solver import BaseProblem, PassGenerator, Solver, State
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.stochastic.line_search import LONGEST, LineSearch

_MEMORY = 10
#: A step that reduces the loss by at most this share is the last.
_LEAST_GAIN = 2.220446049250313e-9
_EPS = float(np.finfo(float).eps)
_REASONS = {
    Status.MAX_ITER: "an entry of the gradient is {gradient:.1e}, above tol={tol:.1e}",
    Status.STALLED: (
        "no step reduces the loss, although an entry of the gradient is {gradient:.1e}, above "
        "tol={tol:.1e}"
    ),
}


@dataclass(frozen=True, eq=False)
class FullBatch(BaseProblem):
    """``(sum_i s_i loss_i + alpha / 2 ||W||^2) / sum_i s_i``, a network's objective over all rows.

    Parameters
    ----------
    blocks : Blocks
        The data.
    network : Network
        Provides the losses and the penalty.
    title : str
        Name of the passes on the dashboard.
    """

    network: Network
    title: str

    def evaluate(self, parameters: FloatArray) -> PassGenerator[tuple[float, FloatArray]]:
        """Return the objective and its gradient, from one pass."""
        kernel = NetworkKernel(self.network)
        sums: NetworkSums = yield Pass(kernel, parameters, f"{self.title}-lbfgs-pass-{{}}")
        check_weight(sums.weight, sums.n_rows)
        gradient = sums.gradient / sums.weight
        n_weights = self.network.layers.n_weights
        penalty = self.network.penalise(
            parameters[:n_weights], gradient[:n_weights], np.empty(n_weights), 1.0 / sums.weight
        )
        return sums.value / sums.weight + penalty, gradient


@dataclass(frozen=True)
class FullBatchState(State):
    """The state of :class:`FullBatchLBFGS`: adds a gradient, curvature pairs and a count.

    ``gradient`` is the gradient at ``parameters``; it is empty before the first pass.
    ``n_evaluations`` counts the evaluations of the objective.
    """

    shapes: ClassVar[Shapes] = {"gradient": ("n_parameters or 0",), "pairs": ("n_parameters",)}

    gradient: FloatArray = field(default_factory=lambda: np.zeros(0))
    pairs: Pairs = ()
    n_evaluations: int = 0

    @property
    def steepest(self) -> float:
        """The largest absolute entry of the gradient."""
        return float(np.abs(self.gradient).max()) if self.gradient.size else np.inf

    def meets(self, tol: float) -> bool:
        return self.status is Status.CONVERGED or self.steepest <= tol


class _Identity:
    """The identity as the initial metric."""

    def solve(self, gradient: FloatArray) -> FloatArray:
        return gradient


@dataclass(frozen=True)
class FullBatchLBFGS(Solver[FullBatch, FullBatchState]):
    """Limited-memory BFGS with a line search; ``tol`` bounds the largest entry of the gradient.

    Parameters
    ----------
    max_fun : int
        Number of passes after which no new step begins.
    """

    max_fun: int

    name: ClassVar[str] = "lbfgs"
    state: ClassVar[type[State]] = FullBatchState
    keeps_when_interrupted: ClassVar[bool] = True

    def init(self, problem: FullBatch, start: FloatArray | None) -> PassGenerator[FullBatchState]:
        yield from ()
        assert start is not None
        return FullBatchState(start.astype(np.float64))

    def step(
        self, problem: FullBatch, state: FullBatchState, tol: float
    ) -> PassGenerator[FullBatchState]:
        if not state.gradient.size:
            value, gradient = yield from problem.evaluate(state.parameters)
            state = replace(state, value=value, gradient=gradient, n_evaluations=1)
            if state.meets(tol):
                return replace(state, rests=True, status=Status.CONVERGED)
        found = None
        if state.pairs:
            direction = -two_loop_recursion(state.gradient, state.pairs, _Identity(), rescale=True)
            state, found = yield from _search_along(problem, state, direction)
        if found is None:
            state = replace(state, pairs=())
            state, found = yield from _search_along(problem, state, -state.gradient)
        if found is None:
            return replace(state, rests=True, status=Status.STALLED)
        status = None
        gain = state.value - found.value
        if gain <= _LEAST_GAIN * max(abs(state.value), abs(found.value), 1.0):
            status = Status.CONVERGED
        elif found.n_evaluations > self.max_fun and not found.meets(tol):
            status = Status.MAX_ITER
        return replace(found, status=status)

    def message(
        self,
        problem: FullBatch,
        state: FullBatchState,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        prefix: str,
        advice: str,
    ) -> str:
        if status is Status.INTERRUPTED:
            return "Training interrupted by user."
        reason = _REASONS[status].format(gradient=state.steepest, tol=tol)
        return (
            f"lbfgs failed to converge after {state.n_iter} iteration(s): {reason}. Increase "
            f"max_iter={max_iter} (or max_fun={self.max_fun}), or scale the columns of X."
        )


def _search_along(
    problem: FullBatch, state: FullBatchState, direction: FloatArray
) -> PassGenerator[tuple[FullBatchState, FullBatchState | None]]:
    """Search along a direction; return the state with its evaluations, and the new state if any."""
    slope = float(direction @ state.gradient)
    length = float(np.linalg.norm(direction))
    # Before the first step, nothing is known about a good step length.
    first_step = min(1.0 / length, LONGEST) if state.n_iter == 0 else 1.0
    search = LineSearch.along(state.value, slope, first_step)
    point, value, gradient = state.parameters, state.value, state.gradient
    while search.found is None:
        point = state.parameters + search.step * direction
        value, gradient = yield from problem.evaluate(point)
        state = replace(state, n_evaluations=state.n_evaluations + 1)
        search = search.advance(value, float(gradient @ direction))
    if not search.found:
        return state, None
    found = replace(state, parameters=point, value=value, gradient=gradient)
    return state, replace(found, pairs=_with_last_move(state, found, search.step * slope))


def _with_last_move(state: FullBatchState, found: FullBatchState, predicted: float) -> Pairs:
    """Return the pairs with the one of the last step, unless its curvature is only rounding."""
    s, y = found.parameters - state.parameters, found.gradient - state.gradient
    if float(s @ y) <= -_EPS * predicted:
        return state.pairs
    return (*state.pairs, (s, y))[-_MEMORY:]
