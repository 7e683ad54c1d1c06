"""Least squares with an l1 norm, or over non-negative coefficients: Lasso and elastic net.

The first pass computes the centred second moments. They define the problem up to rounding, and
coordinate descent solves it without reading the data again. The next pass certifies the solution
(:mod:`dlbd_estimators.solvers.proximal.certificate`) and forms the exact gradient. If the error is
too large, because the moments were rounded, the quadratic with the exact gradient is minimised, and
so on: the moments need not be accurate.

Products of float32 rows are formed in float64 if there are few columns: then the second pass finds
nothing to correct, and the third pass that is saved would take longer. With more columns they are
formed in float32, and again in float64 if float32 is not accurate enough even for corrections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.proximal.certificate import (
    certify,
    error_of_descent,
    is_positive,
    l1_strength,
    l2_strength,
    target_squares,
)
from dlbd_estimators.solvers.proximal.quadratic_model import Model
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Relative duality gap to which the quadratic is solved: accuracy is cheap without reading data.
_MODEL_GAP = 1e-14
#: Largest duality gap of a fit, relative to the targets' mean square; ``tol`` if that is less, and
#: ``tol**2`` if that is more, because coefficients with errors of ``tol`` have a gap of this size.
_GAP = 1e-10
#: Largest number of features for which products in float64 take less time than one more pass.
_FEW_FEATURES = 256


@dataclass(frozen=True)
class CoordinateState(MinimizerState):
    """The state of :class:`CoordinateDescent`: adds the quadratic and the certificate.

    Attributes
    ----------
    moments : Moments or None
        Moments of all rows; None before the first pass.
    model : Model or None
        The quadratic model.
    gaps : ndarray of shape (n_outputs,) or None
        Duality gap of each output on the data, in units of the objective.
    looked_at, certified : ndarray or None, float
        The last point that a pass evaluated, and the coefficients' error there, for any gap.
    precise : bool
        Whether moments are formed in float64 also for float32 data.
    """

    shapes: ClassVar[Shapes] = {"gaps": ("n_outputs",), "looked_at": ("n_parameters",)}
    moments: Moments | None = None
    model: Model | None = None
    gaps: FloatArray | None = None
    certified: float = np.inf
    looked_at: FloatArray | None = None
    precise: bool = False


class CoordinateDescent(Minimizer[CoordinateState]):
    """Coordinate descent on second moments, certified by a pass over the data."""

    name: ClassVar[str] = "coordinate_descent"
    state: ClassVar[type[State]] = CoordinateState
    needs: ClassVar[frozenset[str]] = frozenset({"quadratic", "prox"})
    by_moments: ClassVar[bool] = True

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return packing.n_features + packing.n_outputs  # the targets are columns too

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[CoordinateState]:
        yield from ()  # it begins without a pass
        begin = np.zeros(problem.packing.size) if start is None else start
        return CoordinateState(begin, known=problem.known, precise=begins_precise(problem))

    def step(
        self, problem: Problem, state: CoordinateState, tol: float
    ) -> PassGenerator[CoordinateState]:
        if state.moments is None or state.model is None:
            return _from_moments(problem, state)
        return _from_residuals(problem, state, state.moments, state.model, tol)


def _from_moments(problem: Problem, state: CoordinateState) -> PassGenerator[CoordinateState]:
    """Request the moments, and solve the problem that they describe."""
    packing, n = problem.packing, problem.packing.n_features
    kernel = MomentsKernel(packing.fit_intercept, state.precise)
    moments: Moments = yield from problem.ask(
        kernel, None, "moments-pass-{}", n_entries=(n + packing.n_outputs) ** 2
    )
    return solve_moments(problem, state, moments)


def begins_precise(problem: Problem) -> bool:
    """Return whether the first pass forms products in float64, also of float32 rows."""
    # Without l1, no dual point would show an error in directions that float32 rounding has lost.
    no_l1 = problem.l1 is not None and problem.l1.strength == 0.0
    return no_l1 or problem.packing.n_features <= _FEW_FEATURES


def solve_moments(problem: Problem, state: CoordinateState, moments: Moments) -> CoordinateState:
    """Solve the problem that the moments describe; the next step certifies the solution.

    Parameters
    ----------
    problem : Problem
        The problem, which provides the penalties.
    state : CoordinateState
        The current state; coordinate descent begins at its parameters.
    moments : Moments
        Moments of all rows; about zero for a model without an intercept.
    """
    packing, n = problem.packing, problem.packing.n_features
    check_weight(moments.weight, moments.n_rows)
    squares = np.trace(moments.products[n:, n:]) / moments.weight
    unit = float(np.sqrt(squares)) or 1.0
    known = replace(problem.known, total_weight=moments.weight, unit=unit)
    variance = np.diag(moments.products)[:n] / moments.weight
    problem = problem.with_known(known).with_centre(moments.mean[:n], variance)
    gram = moments.products[:n, :n] / moments.weight + l2_strength(problem) * np.eye(n)
    model = Model.of(gram, epsilon=moments.epsilon)
    slopes = moments.products[:n, n:].T / moments.weight
    start, _ = packing.unpack(state.parameters)
    coef = _solve(problem, model, slopes, start, target_squares(moments, problem))
    intercept = moments.mean[n:] - coef @ (moments.mean[:n] - problem.centre)
    gain = np.sum(coef * slopes) - 0.5 * np.einsum("ki,ij,kj->", coef, gram, coef)
    return replace(
        state,
        parameters=packing.pack(coef, intercept),
        known=problem.known,
        value=float(0.5 * squares - gain + l1_strength(problem) * np.abs(coef).sum()),
        step=1.0,
        moments=moments,
        model=model,
    )


def _from_residuals(
    problem: Problem, state: CoordinateState, moments: Moments, model: Model, tol: float
) -> PassGenerator[CoordinateState]:
    """Certify the last solution on the data, and correct it if it is not good enough."""
    packing = problem.packing
    centre = moments.mean[: packing.n_features] - problem.centre
    coef, intercept = packing.unpack(state.parameters)
    certificate = yield from certify(problem, coef, intercept, centre, model)
    gaps, intercept = certificate.gaps, certificate.intercept
    point = packing.pack(coef, intercept)
    spread = target_squares(moments, problem)
    error = error_of_descent(problem, moments, model, certificate.descent, point)
    gap_is_small = float(np.max(gaps / spread)) <= max(tol**2, min(tol, _GAP))
    status = None
    if error <= tol and gap_is_small:
        status = Status.CONVERGED
    elif state.gaps is not None and error > 0.5 * state.certified:
        if moments.epsilon > np.finfo(float).eps:
            return replace(
                state, moments=None, model=None, gaps=None, certified=np.inf, precise=True
            )
        if error > state.certified and state.looked_at is not None:  # the last point was better
            return replace(
                state, parameters=state.looked_at, error=state.certified, status=Status.STALLED
            )
        status = Status.STALLED
    else:
        slopes = certificate.descent + coef @ (model.factor.T @ model.factor)
        corrected = _solve(problem, model, slopes, coef, spread)
        intercept = intercept - (corrected - coef) @ centre
        coef = corrected
    return replace(
        state,
        parameters=packing.pack(coef, intercept),
        value=certificate.value,
        error=error if gap_is_small else np.inf,
        error_is="bound" if model.regular else "estimate",
        certified=error,
        looked_at=point,
        gradient_norm=float(np.abs(certificate.descent).max(initial=0.0)),
        step=1.0,
        status=status,
        gaps=gaps,
    )


def _solve(
    problem: Problem, model: Model, slopes: FloatArray, start: FloatArray, spread: FloatArray
) -> FloatArray:
    rows = [
        model.minimise(
            slope,
            l1_strength(problem),
            positive=is_positive(problem),
            start=start[k],
            gap=_MODEL_GAP * float(spread[k]),
        )
        for k, slope in enumerate(slopes)
    ]
    return np.array(rows).reshape(start.shape)
