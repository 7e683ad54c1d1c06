"""Newton's method for a smooth loss plus an l1 norm.

Every step is one fused pass for value, gradient and Hessian of the smooth part; the quadratic
that they describe, plus the l1 norm, is minimised without the data (Lee, Sun and Saunders 2014,
arXiv 1206.1623). As in :mod:`~dlbd_estimators.solvers.smooth.newton` the start is the solution of
a sample of blocks, the next pass shows whether the objective fell enough, and a step that went too
far is halved. Intercepts, which are not penalised, follow from the coefficients.
"""

from __future__ import annotations

from dataclasses import replace
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
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.active_set import polish
from dlbd_estimators.solvers.proximal.quadratic_model import Model
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    fell_enough,
    halved,
    restarted_at_zero,
    sample_misled,
)
from dlbd_estimators.solvers.smooth.preconditioner import across
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status

#: Steps on a sample, at most.
_SAMPLE_STEPS = 15
#: Relative gap that is left of a quadratic.
_MODEL_GAP = 1e-14
#: A slope, in standard units, that the minimiser of a quadratic may still have. More is what
#: coordinate descent left, or what the factor of a nearly singular matrix lacks.
_MISSED = 1e-9
#: The same for the decrement that columns far from zero hide.
_ACROSS = 1e-6
#: Linear systems to mend that, at most.
_EXACT_STEPS = 100


class ProximalNewton(Minimizer[TrialState]):
    """Newton's method with coordinate descent on each quadratic."""

    name: ClassVar[str] = "proximal_newton"
    state: ClassVar[type[State]] = TrialState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "prox"})

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.size

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[TrialState]:
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

    def step(self, problem: Problem, state: TrialState, tol: float) -> Asks[TrialState]:
        here = yield from problem.evaluate(
            state.parameters,
            Order.HESSIAN,
            "proximal-newton-pass-{}",
            moments=state.columns is None,
        )
        problem = problem.at(here.known)
        state = replace(state, parameters=here.point, known=here.known)
        if sample_misled(problem, state, here.value):
            return restarted_at_zero(state, here.value)
        if not fell_enough(problem, state, here.value):
            return halved(state, here.value)
        columns = here.columns or state.columns
        assert columns is not None
        step, promised, missed, inverse = _step(problem, state.parameters, here, columns)
        rounding = problem.rounding(here.value)
        # Less than this cannot be distinguished from zero.
        decrement = float(np.sqrt(max(promised, rounding)))
        # A full step squares the decrement, once it is small; with some room for the constant.
        error = 4.0 * decrement**2 if decrement < 0.1 else decrement
        if missed > _MISSED:
            error = max(error, missed)
        hidden = across(problem, _steepest(problem, state.parameters, here), columns)
        if hidden > _ACROSS:
            error = max(error, hidden)
        error *= error_of_decrement(problem, state.parameters + step, columns.variance, inverse)
        status = Status.CONVERGED if promised <= rounding else None
        return replace(
            accepted(state, here, promised),
            parameters=state.parameters + step,
            error=error,
            status=status,
            columns=columns,
        )


def _step(
    problem: Problem, parameters: FloatArray, here: Evaluation, columns: Columns
) -> tuple[FloatArray, float, float, FloatArray]:
    """Return the step to the minimiser of quadratic plus norm, its promised gain, and its error.

    That is the decrease of the objective, and the largest slope left of a coefficient, in units in
    which the Hessian's diagonal is one. With it comes the diagonal of the Hessian's inverse.
    """
    assert here.hessian is not None
    assert problem.l1 is not None
    packing = problem.packing
    total = 1.0 if problem.l1.of_mean else float(problem.total_weight or np.nan)
    l1 = problem.l1.strength / total
    centring = Centring(packing, columns.mean)
    hessian, gradient = centring.matrix(here.hessian), centring.gradient(here.gradient)
    coefs, free = _positions(packing)
    follow = np.zeros((0, len(coefs)))
    if len(free):
        # Minimised over the intercepts: what is left is a problem of the coefficients.
        corner = linalg.pinvh(hessian[np.ix_(free, free)])
        follow = corner @ hessian[np.ix_(free, coefs)]
        rest = corner @ gradient[free]
        reduced = hessian[np.ix_(coefs, coefs)] - hessian[np.ix_(coefs, free)] @ follow
        slope = gradient[coefs] - hessian[np.ix_(coefs, free)] @ rest
    else:
        reduced, slope, rest = hessian, gradient, np.zeros(0)
    # Centring moves intercepts alone: coefficients are the same on both sides.
    coef = parameters[coefs]
    model = Model.of(reduced)
    matrix = model.factor.T @ model.factor
    linear, positive = matrix @ coef - slope, problem.l1.positive
    new = model.minimise(linear, l1, positive=positive, start=coef, gap=_MODEL_GAP)
    missed = _missed(reduced, slope + reduced @ (new - coef), new, problem.l1, l1)
    if missed > _MISSED and l1 > 0:
        linear = reduced @ coef - slope
        new = polish(reduced, linear, l1, new, positive=positive, max_steps=_EXACT_STEPS)
        missed = _missed(reduced, slope + reduced @ (new - coef), new, problem.l1, l1)
    centred = np.zeros(packing.size)
    centred[coefs] = new - coef
    centred[free] = -rest - follow @ (new - coef)
    step = centring.parameters(centred)
    norm = float(np.abs(new).sum() - np.abs(coef).sum())
    promised = -float(gradient @ centred) - l1 * norm
    inverse = np.zeros(packing.size)
    inverse[coefs] = model.inverse_diagonal(new)
    return step, promised, missed, inverse


def _steepest(problem: Problem, parameters: FloatArray, here: Evaluation) -> FloatArray:
    """Return the subgradient of least size: zero at a minimum."""
    assert problem.l1 is not None
    total = 1.0 if problem.l1.of_mean else float(problem.total_weight or np.nan)
    coefs, _ = _positions(problem.packing)
    strength = np.zeros(len(parameters))
    strength[coefs] = problem.l1.strength / total
    gradient = here.gradient
    least = np.sign(gradient) * np.maximum(np.abs(gradient) - strength, 0.0)
    if problem.l1.positive:
        least[coefs] = np.minimum(gradient + strength, 0.0)[coefs]
    return np.where(parameters != 0, gradient + strength * np.sign(parameters), least)


def _missed(
    matrix: FloatArray, slope: FloatArray, coef: FloatArray, norm: L1, strength: float
) -> float:
    """Return the largest slope left of a coefficient where the matrix's diagonal is one."""
    zero = np.maximum((-slope if norm.positive else np.abs(slope)) - strength, 0.0)
    left = np.where(coef != 0, np.abs(slope + strength * np.sign(coef)), zero)
    size = np.sqrt(np.diag(matrix))
    return float(np.divide(left, size, out=np.zeros_like(left), where=size > 0).max(initial=0.0))


def _positions(packing: Packing) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where coefficients and where intercepts lie in the packed order."""
    places = np.arange(packing.size).reshape(packing.shape)
    return places[:, : packing.n_features].ravel(), places[:, packing.n_features :].ravel()


def _solve_sample(
    problem: Problem, start: FloatArray, indices: Sample
) -> Asks[tuple[Problem, FloatArray | None]]:
    enough = 0.1 * problem.sampling_error(indices)
    parameters, step = start, np.zeros_like(start)
    base, promised, scale = np.inf, 0.0, 1.0
    for _ in range(_SAMPLE_STEPS):
        here = yield from problem.evaluate(
            parameters, Order.HESSIAN, "proximal-newton-sample", indices=indices, moments=True
        )
        problem = problem.at(here.known)
        if not np.isfinite(here.value):  # a sample that weighs nothing
            return problem, None
        if here.value > base - 1e-4 * scale * promised:
            scale /= 2
            parameters = parameters - scale * step
            continue
        assert here.columns is not None
        step, promised, _, _ = _step(problem, parameters, here, here.columns)
        base, scale = here.value, 1.0
        parameters = parameters + step
        # The step just made leaves about the square of this decrement.
        if promised <= enough**2 or np.sqrt(max(promised, 0.0)) <= enough:
            return problem, parameters
    return problem, None
