"""Proximal Newton method for a smooth loss plus an l1 norm.

Every step is one fused pass for value, gradient and Hessian of the smooth part. The quadratic model
that they define, plus the l1 norm, is minimised without reading the data (Lee, Sun and Saunders
2014, arXiv 1206.1623). As in :mod:`~dlbd_estimators.solvers.smooth.newton`, the start is the
solution of a sample of blocks, the next pass shows whether the objective fell enough, and a step
that was too long is halved. Intercepts, which are not penalised, are eliminated from the quadratic.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.active_set import polish
from dlbd_estimators.solvers.proximal.quadratic_model import Model
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    halved,
    restarted_at_zero,
    sample_misled,
    satisfies_armijo,
)
from dlbd_estimators.solvers.smooth.preconditioner import hidden_decrement
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Largest number of steps on a sample.
_SAMPLE_STEPS = 15
#: Relative duality gap to which a quadratic is solved.
_MODEL_GAP = 1e-14
#: Largest slope, in standard units, that counts as zero at the minimiser of a quadratic. A larger
#: slope means that coordinate descent has not converged, or that the factor of a nearly singular
#: matrix is not accurate.
_LARGEST_SLOPE = 1e-9
#: Largest decrement, hidden by columns far from zero, that counts as zero.
_HIDDEN_DECREMENT = 1e-6
#: Largest number of exact steps to remove such a slope; each solves a linear system.
_EXACT_STEPS = 100


class ProximalNewton(Minimizer[TrialState]):
    """Proximal Newton method, with coordinate descent on each quadratic model."""

    name: ClassVar[str] = "proximal_newton"
    state: ClassVar[type[State]] = TrialState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "prox"})

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[TrialState]:
        if start is not None:
            return TrialState(start, known=problem.known)
        parameters: FloatArray = np.zeros(problem.packing.size)
        used = False
        for indices in problem.samples:
            problem, found = yield from _solve_sample(problem, parameters, indices)
            if found is None:
                break
            parameters, used = found, True
        return TrialState(parameters, known=problem.known, from_sample=used)

    def step(self, problem: Problem, state: TrialState, tol: float) -> PassGenerator[TrialState]:
        evaluation = yield from problem.evaluate(
            state.parameters,
            Order.HESSIAN,
            "proximal-newton-pass-{}",
            moments=state.columns is None,
        )
        problem = problem.with_known(evaluation.known)
        state = replace(state, parameters=evaluation.point, known=evaluation.known)
        if sample_misled(problem, state, evaluation.value):
            return restarted_at_zero(state, evaluation.value)
        if not satisfies_armijo(problem, state, evaluation.value):
            return halved(state, evaluation.value)
        columns = evaluation.columns or state.columns
        assert columns is not None
        step, predicted, missed, inverse = _step(problem, state.parameters, evaluation, columns)
        rounding = problem.rounding(evaluation.value)
        # A decrease below the rounding error cannot be distinguished from zero.
        decrement = float(np.sqrt(max(predicted, rounding)))
        # A full step squares the decrement once it is small; the factor allows for the constant.
        error = 4.0 * decrement**2 if decrement < 0.1 else decrement
        if missed > _LARGEST_SLOPE:
            error = max(error, missed)
        hidden = hidden_decrement(
            problem, _min_norm_subgradient(problem, state.parameters, evaluation), columns
        )
        if hidden > _HIDDEN_DECREMENT:
            error = max(error, hidden)
        error *= error_of_decrement(problem, state.parameters + step, columns.variance, inverse)
        status = Status.CONVERGED if predicted <= rounding else None
        return replace(
            accepted(state, evaluation, predicted),
            parameters=state.parameters + step,
            error=error,
            status=status,
            columns=columns,
        )


def _step(
    problem: Problem, parameters: FloatArray, evaluation: Evaluation, columns: Columns
) -> tuple[FloatArray, float, float, FloatArray]:
    """Return the step to the minimiser of the quadratic plus the norm, and three facts about it.

    These are the decrease of the objective that the linear model predicts; the largest remaining
    slope of a coefficient, in units in which the Hessian has a unit diagonal; and the diagonal of
    the inverse Hessian.
    """
    assert evaluation.hessian is not None
    assert problem.l1 is not None
    packing = problem.packing
    l1 = problem.l1.strength / (1.0 if problem.l1.of_mean else evaluation.weight)
    centring = Centring(packing, columns.mean)
    hessian, gradient = centring.matrix(evaluation.hessian), centring.gradient(evaluation.gradient)
    coefs, free = _positions(packing)
    follow = np.zeros((0, len(coefs)))
    if len(free):
        # Eliminate the intercepts: the Schur complement is a problem of the coefficients alone.
        corner = linalg.pinvh(hessian[np.ix_(free, free)])
        follow = corner @ hessian[np.ix_(free, coefs)]
        free_step = corner @ gradient[free]
        reduced = hessian[np.ix_(coefs, coefs)] - hessian[np.ix_(coefs, free)] @ follow
        slope = gradient[coefs] - hessian[np.ix_(coefs, free)] @ free_step
    else:
        reduced, slope, free_step = hessian, gradient, np.zeros(0)
    # Centring changes only the intercepts, not the coefficients.
    coef = parameters[coefs]
    model = Model.of(reduced)
    matrix = model.factor.T @ model.factor
    linear, positive = matrix @ coef - slope, problem.l1.positive
    new = model.minimise(linear, l1, positive=positive, start=coef, gap=_MODEL_GAP)
    missed = _largest_slope(reduced, slope + reduced @ (new - coef), new, problem.l1, l1)
    if missed > _LARGEST_SLOPE and l1 > 0:
        linear = reduced @ coef - slope
        new = polish(reduced, linear, l1, new, positive=positive, max_steps=_EXACT_STEPS)
        missed = _largest_slope(reduced, slope + reduced @ (new - coef), new, problem.l1, l1)
    centred = np.zeros(packing.size)
    centred[coefs] = new - coef
    centred[free] = -free_step - follow @ (new - coef)
    step = centring.parameters(centred)
    norm = float(np.abs(new).sum() - np.abs(coef).sum())
    predicted = -float(gradient @ centred) - l1 * norm
    inverse = np.zeros(packing.size)
    inverse[coefs] = model.inverse_diagonal(new)
    return step, predicted, missed, inverse


def _min_norm_subgradient(
    problem: Problem, parameters: FloatArray, evaluation: Evaluation
) -> FloatArray:
    """Return the subgradient of least norm, which is zero at a minimum."""
    assert problem.l1 is not None
    coefs, _ = _positions(problem.packing)
    strength = np.zeros(len(parameters))
    strength[coefs] = problem.l1.strength / (1.0 if problem.l1.of_mean else evaluation.weight)
    gradient = evaluation.gradient
    least = np.sign(gradient) * np.maximum(np.abs(gradient) - strength, 0.0)
    if problem.l1.positive:
        least[coefs] = np.minimum(gradient + strength, 0.0)[coefs]
    return np.where(parameters != 0, gradient + strength * np.sign(parameters), least)


def _largest_slope(
    matrix: FloatArray, slope: FloatArray, coef: FloatArray, norm: L1, strength: float
) -> float:
    """Return the largest remaining slope of a coefficient, for a matrix of unit diagonal."""
    zero = np.maximum((-slope if norm.positive else np.abs(slope)) - strength, 0.0)
    remaining = np.where(coef != 0, np.abs(slope + strength * np.sign(coef)), zero)
    size = np.sqrt(np.diag(matrix))
    return float(
        np.divide(remaining, size, out=np.zeros_like(remaining), where=size > 0).max(initial=0.0)
    )


def _positions(packing: Packing) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of coefficients and of intercepts in the packed order."""
    positions = np.arange(packing.size).reshape(packing.shape)
    return positions[:, : packing.n_features].ravel(), positions[:, packing.n_features :].ravel()


def _solve_sample(
    problem: Problem, start: FloatArray, indices: Sample
) -> PassGenerator[tuple[Problem, FloatArray | None]]:
    enough = 0.1 * problem.sampling_error(indices)
    parameters, step = start, np.zeros_like(start)
    base, predicted, scale = np.inf, 0.0, 1.0
    for _ in range(_SAMPLE_STEPS):
        evaluation = yield from problem.evaluate(
            parameters, Order.HESSIAN, "proximal-newton-sample", indices=indices, moments=True
        )
        problem = problem.with_known(evaluation.known)
        if not np.isfinite(evaluation.value):  # all weights of the sample are zero
            return problem, None
        if evaluation.value > base - 1e-4 * scale * predicted:
            scale /= 2
            parameters = parameters - scale * step
            continue
        assert evaluation.columns is not None
        step, predicted, _, _ = _step(problem, parameters, evaluation, evaluation.columns)
        base, scale = evaluation.value, 1.0
        parameters = parameters + step
        # After this step, the decrement is about the square of this one.
        if predicted <= enough**2 or np.sqrt(max(predicted, 0.0)) <= enough:
            return problem, parameters
    return problem, None
