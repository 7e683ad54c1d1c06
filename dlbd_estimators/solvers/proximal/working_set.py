"""Working-set method for an l1 norm and more features than a quadratic model can hold.

A pass over all features shows which coefficients the norm does not keep at zero. These features,
and those with coefficients that are not zero, are the working set. Another solver makes its passes
on this small problem, and the next pass over all features shows which features were missed (Johnson
and Guestrin 2015, "Blitz"; Massias, Gramfort and Salmon 2018, arXiv 1802.07481). The set has twice
as many features as it needs, so it has to grow only a few times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.columns import OnColumns
from dlbd_estimators.kernels.kernel import Kernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.matrix_memory import largest_side
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.certificate import certify
from dlbd_estimators.solvers.proximal.coordinate_descent import CoordinateDescent
from dlbd_estimators.solvers.proximal.proximal_newton import ProximalNewton
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

_SMALLEST_SET = 64
#: Largest number of steps on one set.
_SET_STEPS = 50
#: A feature enters the set if its slope exceeds the strength of l1 by more than this share.
_VIOLATION = 1e-8


@dataclass(frozen=True)
class WorkingState(MinimizerState):
    """The state of :class:`WorkingSet`: adds the set and what a pass over all features has shown.

    Attributes
    ----------
    columns : Columns or None
        Column moments; None until a pass has computed them.
    features : ndarray of int or None
        The working set, on which ``parameters`` solve the problem.
    gaps : ndarray of shape (n_outputs,) or None
        For squared errors, the duality gap of each output on the data.
    set_error : float
        The error with which the solver of the set ended.
    """

    shapes: ClassVar[Shapes] = {"features": ("n_set",), "gaps": ("n_outputs",)}

    columns: Columns | None = None
    features: NDArray[np.intp] | None = None
    gaps: FloatArray | None = None
    set_error: float = np.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class _Restricted(Problem):
    """The objective restricted to some of the features; its passes still read all columns."""

    features: NDArray[np.intp]

    @classmethod
    def of(cls, problem: Problem, features: NDArray[np.intp]) -> _Restricted:
        packing = problem.packing
        return cls(
            problem.blocks,
            problem.loss,
            problem.penalty,
            Packing(packing.n_outputs, len(features), packing.fit_intercept),
            name=problem.name,
            l1=problem.l1,
            known=replace(problem.known, centre=problem.centre[features]),
            features=features,
        )

    def restricted(self, kernel: Kernel[Any]) -> Kernel[Any]:
        return OnColumns(kernel, self.features)


class WorkingSet(Minimizer[WorkingState]):
    """Solve on a growing set of features, and check the solution on all features."""

    name: ClassVar[str] = "working_set"
    state: ClassVar[type[State]] = WorkingState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "l1"})

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[WorkingState]:
        yield from ()  # it begins without a pass
        begin = np.zeros(problem.packing.size) if start is None else start
        return WorkingState(begin, known=problem.known)

    def step(
        self, problem: Problem, state: WorkingState, tol: float
    ) -> PassGenerator[WorkingState]:
        columns = state.columns
        if problem.loss.quadratic and columns is not None:
            coef, intercept = problem.packing.unpack(state.parameters)
            # Only an intercept makes the gradient that of centred columns.
            centre = columns.mean if problem.packing.fit_intercept else np.zeros_like(columns.mean)
            certificate = yield from certify(problem, coef, intercept, centre, None)
            descent, value, gaps = certificate.descent, certificate.value, certificate.gaps
        else:
            evaluation = yield from problem.evaluate(
                state.parameters,
                Order.GRADIENT,
                "all-features-pass-{}",
                moments=columns is None,
            )
            problem = problem.with_known(evaluation.known)
            state = replace(state, parameters=evaluation.point, known=evaluation.known)
            columns = evaluation.columns or columns
            assert columns is not None
            descent, value, gaps = (
                _descent(problem, evaluation.gradient, columns),
                evaluation.value,
                None,
            )
        state = replace(state, value=value, columns=columns, gaps=gaps, step=1.0)
        state = replace(state, gradient_norm=float(np.abs(descent).max(initial=0.0)))
        features = _grow(problem, state, descent)
        if state.features is not None and np.isin(features, state.features).all():
            # No feature is missing: the solution on the set is the solution on all features.
            status = Status.CONVERGED if state.set_error <= tol else Status.STALLED
            return replace(state, error=state.set_error, status=status)
        return (yield from _solve(problem, state, features, tol))


def _descent(problem: Problem, gradient: FloatArray, columns: Columns) -> FloatArray:
    """Return the negative gradient of the coefficients, with the best intercepts to first order."""
    rows = gradient.reshape(problem.packing.shape)
    n = problem.packing.n_features
    if problem.packing.fit_intercept:
        return np.asarray(rows[:, -1:] * columns.mean - rows[:, :n])
    return np.asarray(-rows[:, :n])


def _grow(problem: Problem, state: WorkingState, descent: FloatArray) -> NDArray[np.intp]:
    """Return the new working set: features that are not zero, or that l1 does not keep at zero."""
    assert problem.l1 is not None
    packing = problem.packing
    total = 1.0 if problem.l1.of_mean else float(problem.total_weight or np.nan)
    l1 = problem.l1.strength / total
    coef, _ = packing.unpack(state.parameters)
    used = np.any(coef != 0, axis=0)
    slopes = (descent if problem.l1.positive else np.abs(descent)).max(axis=0)
    missed = ~used & (slopes > l1 * (1.0 + _VIOLATION))
    room = min(LARGEST_HESSIAN, largest_side(problem))
    room = max(1, room // (1 if problem.loss.quadratic else packing.n_outputs))
    n_used = int(used.sum())
    if n_used > room or (n_used == room and missed.any()):
        raise ValueError(
            f"More than {room} features have coefficients that are not zero, which is more than "
            f"the quadratic model of {problem.name} regression can hold. Strengthen the penalty."
        )
    size = min(room, max(_SMALLEST_SET, 2 * n_used)) - n_used
    worst = np.argsort(-slopes[missed], kind="stable")[:size]
    return np.sort(np.concatenate([np.flatnonzero(used), np.flatnonzero(missed)[worst]]))


def _solve(
    problem: Problem, state: WorkingState, features: NDArray[np.intp], tol: float
) -> PassGenerator[WorkingState]:
    restricted = _Restricted.of(problem, features)
    coef, intercept = problem.packing.unpack(state.parameters)
    solver: Minimizer[Any] = CoordinateDescent() if problem.loss.quadratic else ProximalNewton()
    inner = yield from solver.init(
        restricted, restricted.packing.pack(coef[:, features], intercept)
    )
    for _ in range(_SET_STEPS):
        inner = yield from solver.step(restricted.with_known(inner.known), inner, tol)
        if inner.status is not None or inner.error <= tol:
            break
    set_coef, intercept = restricted.packing.unpack(inner.parameters)
    coef = np.zeros_like(coef)
    coef[:, features] = set_coef
    return replace(
        state,
        parameters=problem.packing.pack(coef, intercept),
        features=features,
        set_error=inner.error,
    )
