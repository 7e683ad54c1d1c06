"""One Newton step for each batch, with the curvature of all batches so far.

Each batch is read once, at the current model ``w_b``. Afterwards it is replaced by the quadratic of
its gradient g and Hessian H there: ``(w - w_b) H_b (w - w_b) / 2 + g_b (w - w_b)``. The model is
the minimum of the sum of these quadratics and the penalty:

    w = (sum_b H_b + P)^-1 sum_b (H_b w_b - g_b)

For a quadratic loss this is the minimum for all rows. For other losses it is not: a batch that was
read far from the minimum keeps pulling the model there, but the more batches follow, the smaller
its influence. (This is the extended Kalman filter of a model that does not change.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.linear import LinearKernel, LinearSums
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True)
class RunningCurvature:
    """The sum of the batches' quadratics, without the penalty.

    Attributes
    ----------
    hessian : ndarray of shape (n_parameters, n_parameters)
        Sum of the Hessians of the batches.
    linear : ndarray of shape (n_parameters,)
        Sum of ``H_b w_b - g_b``.
    centre : ndarray of shape (n_features,)
        Vector that is subtracted from the features in both sums.
    weight : float
        Sum of the weights of all rows.
    n_rows : int
        Number of all rows.
    """

    shapes: ClassVar[Shapes] = {
        "hessian": ("n_parameters", "n_parameters"), "linear": ("n_parameters",),
        "centre": ("n_features",),
    }  # fmt: skip

    hessian: FloatArray
    linear: FloatArray
    centre: FloatArray
    weight: float
    n_rows: int


@dataclass(frozen=True)
class OnlineNewtonState(MinimizerState):
    """The state of :class:`OnlineNewton`: adds the quadratics of all batches; it has no error."""

    running: RunningCurvature | None = None

    def record(self, seconds: float) -> Record:
        # A single batch does not show the distance from the minimum for all rows.
        return replace(super().record(seconds), error=None, error_is=None)


class OnlineNewton(Minimizer[OnlineNewtonState]):
    """One step of Newton's method on the quadratics of all batches.

    Parameters
    ----------
    earlier : RunningCurvature or None
        The quadratics of the batches so far.
    """

    name: ClassVar[str] = "online_newton"
    state: ClassVar[type[State]] = OnlineNewtonState
    needs: ClassVar[frozenset[str]] = frozenset({"hessian", "smooth"})

    def __init__(self, earlier: RunningCurvature | None) -> None:
        self.earlier = earlier

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[OnlineNewtonState]:
        yield from ()  # it begins without a pass
        initial = np.zeros(problem.packing.size) if start is None else start
        return OnlineNewtonState(initial, known=problem.known)

    def step(
        self, problem: Problem, state: OnlineNewtonState, tol: float
    ) -> PassGenerator[OnlineNewtonState]:
        packing, point = problem.packing, state.parameters
        kernel = LinearKernel(
            problem.loss, packing, Order.HESSIAN, own_centre=packing.fit_intercept
        )
        sums: LinearSums = yield from problem.ask(
            kernel, point, "online-newton-pass", n_entries=packing.size**2
        )
        check_weight(sums.weight or float(self.earlier is not None), sums.n_rows)
        running = joined(packing, self.earlier, sums, point)
        centring = Centring(packing, running.centre)
        initial = centring.centred(point)
        penalty = problem.penalty.diagonal(packing)
        descent = running.linear - running.hessian @ initial - penalty * initial
        # A singular matrix is inverted on its range: if rows are too few, the step has least norm,
        # and it does not contain a shift common to all classes.
        move = Factor.of(running.hessian + np.diag(penalty)).solve(descent)
        updated = problem.without_shift(centring.parameters(initial + move))
        value = sums.value + problem.penalty.value(packing, point)
        return replace(
            state,
            parameters=updated,
            value=value / sums.weight if sums.weight > 0 else 0.0,
            gradient_norm=float(np.abs(descent).max() / running.weight),
            step=1.0,
            status=Status.DONE,
            running=running,
        )


def joined(
    packing: Packing, earlier: RunningCurvature | None, sums: LinearSums, point: FloatArray
) -> RunningCurvature:
    """Return the sum of the quadratics of earlier batches and of a new batch.

    Parameters
    ----------
    packing : Packing
        Order of the parameters.
    earlier : RunningCurvature or None
        The quadratics of the earlier batches.
    sums : LinearSums
        Gradient and Hessian of the batch at the parameters ``point``.
    point : ndarray of shape (n_parameters,)
        Parameters for the original features.
    """
    assert sums.hessian is not None
    assert sums.gradient is not None
    centre = np.zeros(packing.n_features) if sums.centre is None else sums.centre
    linear = sums.hessian @ Centring(packing, centre).centred(point) - sums.gradient
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
