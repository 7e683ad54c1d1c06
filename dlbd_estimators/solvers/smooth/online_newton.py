"""One Newton step a batch, with the curvature of all batches until now.

Each batch is read once, at the model of that time, and stands from then on for the quadratic of its
gradient g and Hessian H there: ``(w - w_b) H_b (w - w_b) / 2 + g_b (w - w_b)``. The model is the
minimum of the sum of these quadratics, and of the penalty:

    w = (sum_b H_b + P)^-1 sum_b (H_b w_b - g_b)

For a quadratic loss that is the minimum for all rows. For others it is not: a batch that was read
far from the minimum goes on to pull there, the less the more batches follow. (In other words this
is the extended Kalman filter of a model that does not change.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.linear import LinearKernel, LinearSums
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True)
class RunningCurvature:
    """The sum of the batches' quadratics, without the penalty.

    Attributes
    ----------
    hessian : ndarray of shape (n_parameters, n_parameters)
        Sum of their Hessians.
    linear : ndarray of shape (n_parameters,)
        Sum of ``H_b w_b - g_b``.
    centre : ndarray of shape (n_features,)
        What the features are centred by in both.
    weight : float
        Of all rows.
    n_rows : int
        Their number.
    """

    hessian: FloatArray
    linear: FloatArray
    centre: FloatArray
    weight: float
    n_rows: int


@dataclass(frozen=True)
class OnlineNewtonState(MinimizerState):
    """Adds the quadratics of all batches until now; there is no error to tell."""

    running: RunningCurvature | None = None

    def record(self, seconds: float) -> Record:
        # How far the minimum for all rows is, no single batch can say.
        return replace(super().record(seconds), error=None, error_is=None)


class OnlineNewton(Minimizer[OnlineNewtonState]):
    """One step of Newton's method on the quadratics of all batches.

    Parameters
    ----------
    earlier : RunningCurvature or None
        Of the batches until now.
    """

    name: ClassVar[str] = "online_newton"
    state: ClassVar[type[State]] = OnlineNewtonState
    needs: ClassVar[frozenset[str]] = frozenset({"hessian", "smooth"})

    def __init__(self, earlier: RunningCurvature | None) -> None:
        self.earlier = earlier

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[OnlineNewtonState]:
        yield from ()  # it begins without a pass
        begin = np.zeros(problem.packing.size) if start is None else start
        return OnlineNewtonState(begin, known=problem.known)

    def step(
        self, problem: Problem, state: OnlineNewtonState, tol: float
    ) -> Asks[OnlineNewtonState]:
        packing, here = problem.packing, state.parameters
        kernel = LinearKernel(
            problem.loss, packing, Order.HESSIAN, own_centre=packing.fit_intercept
        )
        sums: LinearSums = yield from problem.ask(
            kernel, here, "online-newton-pass", n_entries=packing.size**2
        )
        check_weight(sums.weight or float(self.earlier is not None), sums.n_rows)
        running = joined(packing, self.earlier, sums, here)
        centring = Centring(packing, running.centre)
        begin = centring.centred(here)
        penalty = problem.penalty.diagonal(packing)
        downward = running.linear - running.hessian @ begin - penalty * begin
        # On its range: least norm where rows are too few, and no shift common to all classes.
        move = Factor.of(running.hessian + np.diag(penalty)).solve(downward)
        moved = problem.without_shift(centring.parameters(begin + move))
        value = sums.value + problem.penalty.value(packing, here)
        return replace(
            state,
            parameters=moved,
            value=value / sums.weight if sums.weight > 0 else 0.0,
            gradient_norm=float(np.abs(downward).max() / running.weight),
            step=1.0,
            status=Status.DONE,
            running=running,
        )


def joined(
    packing: Packing, earlier: RunningCurvature | None, sums: LinearSums, here: FloatArray
) -> RunningCurvature:
    """Add the quadratic of a batch to those before it.

    Parameters
    ----------
    packing : Packing
        Order of the parameters.
    earlier : RunningCurvature or None
        Of the batches before.
    sums : LinearSums
        Of the batch, at the parameters ``here``.
    here : ndarray of shape (n_parameters,)
        For features as they are.
    """
    assert sums.hessian is not None
    assert sums.gradient is not None
    centre = np.zeros(packing.n_features) if sums.centre is None else sums.centre
    linear = sums.hessian @ Centring(packing, centre).centred(here) - sums.gradient
    if earlier is None:
        return RunningCurvature(sums.hessian, linear, centre, sums.weight, sums.n_rows)
    move = Centring(packing, earlier.centre - centre)
    return RunningCurvature(
        earlier.hessian + move.matrix(sums.hessian),
        earlier.linear + move.gradient(linear),
        earlier.centre,
        earlier.weight + sums.weight,
        earlier.n_rows + sums.n_rows,
    )
