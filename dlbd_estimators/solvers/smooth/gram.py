"""Least squares in one pass, by the centred second moments of [X, y].

With an ill-conditioned X, the normal equations lose twice as many digits as an orthogonal
factorisation. The condition number of the products determines what follows the first pass:

==================================== ==========================================
expected relative coefficient error  what follows
==================================== ==========================================
negligible                           done: one pass
small                                one pass for the exact gradient; a Newton step
large, or singular without penalty   one pass for the triangular factor (TSQR)
==================================== ==========================================

A rank-deficient problem without penalty gets its solution of least norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.kernels.orthogonal import TriangleKernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Largest expected relative error of the coefficients that needs no second pass, by the machine
#: epsilon of the products. Coefficients from float32 data should be within 1e-5 of those from
#: float64 data, and coefficients from float64 data within 1e-6 of the exact ones.
_NEGLIGIBLE = {np.finfo(np.float32).eps: 2e-6, np.finfo(np.float64).eps: 1e-8}
#: Above this expected error, a Newton step with these products no longer squares the error.
_SMALL = 1e-3
#: If an orthogonal factorisation leaves a larger decrement than this, the user is warned.
_WARNING_DECREMENT = 1e-10


@dataclass(frozen=True)
class GramState(MinimizerState):
    """The state of :class:`Gram`: adds the moments and the singular values of the centred X.

    Both are None before the first pass. ``risk`` is the expected relative error of the
    coefficients due to the rounding of the moments.
    """

    shapes: ClassVar[Shapes] = {"singular": ("n_features",)}

    risk: float = np.inf
    moments: Moments | None = None
    singular: FloatArray | None = None
    rank: int | None = None


class Gram(Minimizer[GramState]):
    """Normal equations, with a second pass if they are not accurate enough."""

    name: ClassVar[str] = "gram"
    state: ClassVar[type[State]] = GramState
    needs: ClassVar[frozenset[str]] = frozenset({"quadratic", "smooth"})
    by_moments: ClassVar[bool] = True
    direct: ClassVar[bool] = True

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.n_features + packing.n_outputs  # the targets are columns too

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[GramState]:
        yield from ()  # it begins without a pass
        return GramState(np.zeros(problem.packing.size), known=problem.known)

    def step(self, problem: Problem, state: GramState, tol: float) -> PassGenerator[GramState]:
        if state.moments is None:
            return _from_moments(problem, state)
        if state.risk <= _SMALL:
            return _refine(problem, state)
        return _from_triangle(problem, state, state.moments)


def _from_moments(problem: Problem, state: GramState) -> PassGenerator[GramState]:
    packing = problem.packing
    moments: Moments = yield from problem.ask(
        MomentsKernel(packing.fit_intercept),
        None,
        "gram-pass-1",
        n_entries=(packing.n_features + packing.n_outputs) ** 2,
    )
    return solve_moments(problem, state, moments)


def solve_moments(problem: Problem, state: GramState, moments: Moments) -> GramState:
    """Solve the problem that the moments describe.

    Parameters
    ----------
    problem : Problem
        The problem, which provides the penalties.
    state : GramState
        The current state of the solver.
    moments : Moments
        Moments of all rows; about zero for a model without an intercept.

    Returns
    -------
    GramState
        The state with the solution. Its status is CONVERGED, unless the condition number requires
        another pass.
    """
    packing = problem.packing
    check_weight(moments.weight, moments.n_rows)
    n = packing.n_features
    spread = float(np.sqrt(np.trace(moments.products[n:, n:]) / moments.weight))
    gram, cross = moments.products[:n, :n], moments.products[:n, n:]
    known = replace(problem.known, total_weight=moments.weight, unit=spread or 1.0)
    variance = np.diag(gram) / moments.weight
    problem = problem.with_known(known).with_centre(moments.mean[:n], variance)
    coef, condition = np.zeros((packing.n_outputs, n)), 1.0
    strengths, inverse = _strengths(problem), np.zeros((packing.n_outputs, n))
    for strength in np.unique(strengths):
        factor = Factor.of(gram + strength * np.eye(n))
        same = strengths == strength
        coef[same] = factor.solve(cross[:, same]).T
        inverse[same] = factor.inverse_diagonal() * moments.weight
        condition = max(condition, factor.condition)
    intercept = moments.mean[n:] - coef @ (moments.mean[:n] - problem.centre)
    risk = rounding_risk(moments, coef, condition)
    size = float(np.sqrt(np.sum(np.diag(gram) * coef**2) / moments.weight))
    values = linalg.eigvalsh(gram)[::-1]
    singular = np.sqrt(np.maximum(values, 0.0))
    done = risk <= _NEGLIGIBLE[moments.epsilon]
    loss = _loss(moments, coef, problem)
    parameters = packing.pack(coef, intercept)
    error = risk
    if done:  # the rounding of the products leaves a gradient that is not zero
        decrement = moments.epsilon * float(np.sqrt(condition)) * size / problem.unit
        error = decrement * error_of_decrement(
            problem, parameters, variance, packing.pack(inverse, np.zeros(packing.n_outputs))
        )
    return replace(
        state,
        parameters=parameters,
        known=problem.known,
        value=loss,
        error=error,
        risk=risk,
        gradient_norm=0.0,
        step=1.0,
        status=Status.CONVERGED if done else None,
        moments=moments,
        singular=singular,
        rank=int(np.count_nonzero(values > n * moments.epsilon * max(values[0], 0.0))) if n else 0,
    )


def rounding_risk(moments: Moments, coef: FloatArray, condition: float) -> float:
    """Return the expected relative error of coefficients due to the rounding of the moments.

    Parameters
    ----------
    moments : Moments
        Moments of all rows; about zero for a model without an intercept.
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients that were solved from the moments.
    condition : float
        Condition number of the system that was solved, after scaling it to a unit diagonal.
    """
    n = coef.shape[1]
    gram, cross = moments.products[:n, :n], moments.products[:n, n:]
    explained = float(np.einsum("ki,ij,kj->", coef, gram, coef))
    noise = np.sqrt(max(np.trace(moments.products[n:, n:]), 0.0) / max(explained, 1e-300))
    return float(moments.epsilon * condition * max(noise, 1.0)) if np.any(cross) else 0.0


def _refine(problem: Problem, state: GramState) -> PassGenerator[GramState]:
    """Make one Newton step with a gradient in float64; the products may be less accurate."""
    assert state.moments is not None
    packing, n = problem.packing, problem.packing.n_features
    evaluation = yield from problem.evaluate(state.parameters, Order.GRADIENT, "gram-pass-2")
    gradient = evaluation.gradient.reshape(packing.shape) * state.moments.weight
    centre = state.moments.mean[:n] - problem.centre
    coef, intercept = packing.unpack(state.parameters)
    gram = state.moments.products[:n, :n]
    strengths = _strengths(problem)
    for strength in np.unique(strengths):
        same = strengths == strength
        right = gradient[same, :n]
        if packing.fit_intercept:
            right = right - gradient[same, -1:] * centre
        correction = Factor.of(gram + strength * np.eye(n)).solve(right.T).T
        coef[same] -= correction
        if packing.fit_intercept:
            intercept[same] -= gradient[same, -1] / state.moments.weight - correction @ centre
    return replace(
        state,
        parameters=packing.pack(coef, intercept),
        value=evaluation.value,
        error=state.risk**2,
        gradient_norm=float(np.abs(evaluation.gradient).max()),
        status=Status.CONVERGED,
    )


def _from_triangle(
    problem: Problem, state: GramState, moments: Moments
) -> PassGenerator[GramState]:
    """Solve by a singular value decomposition of R, which has the singular values of centred X."""
    packing, n = problem.packing, problem.packing.n_features
    constant = packing.fit_intercept
    centre = moments.mean.copy()
    triangle = yield from problem.ask(
        TriangleKernel(constant), centre, "gram-pass-2", n_entries=centre.size**2
    )
    if constant:
        centre += triangle[0, 1:] / triangle[0, 0]
        triangle = triangle[1:, 1:]
    features, targets = triangle[:, :n], triangle[:, n:]
    left, singular, right = linalg.svd(features, full_matrices=False)
    tiny = max(moments.n_rows, n) * np.finfo(float).eps * (singular[0] if n else 0.0)
    kept = singular > tiny
    strengths = _strengths(problem)
    shrunk = np.where(kept, singular, 0.0)[:, None]
    # Singular values below `tiny` are noise: with a penalty they give zero anyway.
    filters = np.divide(
        shrunk,
        shrunk**2 + strengths,
        out=np.zeros((len(singular), len(strengths))),
        where=shrunk > 0,
    )
    coef = (right.T @ (filters * (left.T @ targets))).T
    residual = targets - features @ coef.T
    value = 0.5 * float(np.sum(residual**2) + strengths @ np.sum(coef**2, axis=1))
    size = float(np.linalg.norm(features) * np.linalg.norm(coef) / np.sqrt(moments.weight))
    decrement = float(np.finfo(float).eps) * size / problem.unit
    inaccurate = decrement > _WARNING_DECREMENT
    parameters = packing.pack(coef, centre[n:] - coef @ (centre[:n] - problem.centre))
    curvature = np.where(kept, singular**2, np.inf)[:, None] + strengths
    inverse = ((right**2).T @ (moments.weight / curvature)).T
    per_decrement = error_of_decrement(
        problem,
        parameters,
        np.diag(moments.products)[:n] / moments.weight,
        packing.pack(inverse, np.zeros(packing.n_outputs)),
    )
    return replace(
        state,
        parameters=parameters,
        value=value / moments.weight,
        error=decrement * per_decrement,
        status=Status.STALLED if inaccurate else Status.CONVERGED,
        dependent=_dependent(problem, moments) if inaccurate else (),
        singular=singular,
        rank=int(kept.sum()),
    )


def _dependent(problem: Problem, moments: Moments) -> tuple[int, ...]:
    """Return the columns that are most nearly dependent on one another."""
    n = problem.packing.n_features
    return Factor.of(moments.products[:n, :n]).dependent() if problem.of_columns else ()


def _strengths(problem: Problem) -> FloatArray:
    strength = np.asarray(problem.penalty.strength, dtype=np.float64)
    return np.broadcast_to(strength, (problem.packing.n_outputs,))


def _loss(moments: Moments, coef: FloatArray, problem: Problem) -> float:
    n = coef.shape[1]
    signed = np.hstack([coef, -np.eye(len(coef))])
    squared = np.einsum("ki,ij,kj->", signed, moments.products, signed)
    penalty = _strengths(problem) @ np.sum(coef**2, axis=1)
    return 0.5 * float(max(squared, 0.0) + penalty) / moments.weight if n else 0.0
