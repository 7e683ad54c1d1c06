"""Least squares with an l1 norm, or over non-negative coefficients: Lasso and elastic net.

The first pass computes the centred second moments. They define the problem up to rounding, and
coordinate descent solves it without reading the data again. The next pass forms the residuals in
float64. They and their products with the columns give the duality gap on the data, which bounds how
far the objective is above its minimum, and the exact gradient. Let g be the part of the gradient
that the norm does not balance. In the metric of the Hessian H of the squared loss, the distance to
the minimiser is at most ``sqrt(g H^-1 g)``. If it is too large, because the moments were rounded,
the quadratic with the exact gradient is minimised, and so on: the moments need not be accurate. If
float32 products are not accurate enough even for that, they are formed again in float64.

Let r be the centred residuals, b the strength of l1, and c that of ``||w||^2 / 2`` beside the mean
loss. The gap is that of the Lasso on the data extended by ``sqrt(c) I`` (Fercoq, Gramfort and
Salmon 2015, arXiv 1505.03410): the dual point is r, scaled down until ``|X.T r - c w| <= b``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.residuals import CentredModel, ResidualKernel, ResidualSums
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.minimizer import Minimizer, MinimizerState
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.proximal.quadratic_model import Model
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Relative duality gap to which the quadratic is solved: accuracy is cheap without reading data.
_MODEL_GAP = 1e-14
#: Largest duality gap of a fit, relative to the targets' mean square; ``tol`` if that is less, and
#: ``tol**2`` if that is more, because coefficients with errors of ``tol`` have a gap of this size.
_GAP = 1e-10


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
        return CoordinateState(begin, known=problem.known)

    def step(
        self, problem: Problem, state: CoordinateState, tol: float
    ) -> PassGenerator[CoordinateState]:
        if state.moments is None or state.model is None:
            return _from_moments(problem, state)
        return _from_residuals(problem, state, state.moments, state.model, tol)


def _from_moments(problem: Problem, state: CoordinateState) -> PassGenerator[CoordinateState]:
    """Request the moments, and solve the problem that they describe."""
    packing, n = problem.packing, problem.packing.n_features
    # Without l1, no dual point would show an error in directions that float32 rounding has lost.
    precise = state.precise or (problem.l1 is not None and problem.l1.strength == 0.0)
    kernel = MomentsKernel(packing.fit_intercept, precise)
    moments: Moments = yield from problem.ask(
        kernel, None, "moments-pass-{}", n_entries=(n + packing.n_outputs) ** 2
    )
    return solve_moments(problem, state, moments)


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
    unit = float(np.sqrt(np.trace(moments.products[n:, n:]) / moments.weight)) or 1.0
    known = replace(problem.known, total_weight=moments.weight, unit=unit)
    variance = np.diag(moments.products)[:n] / moments.weight
    problem = problem.with_known(known).with_centre(moments.mean[:n], variance)
    gram = moments.products[:n, :n] / moments.weight + l2_strength(problem) * np.eye(n)
    model = Model.of(gram, epsilon=moments.epsilon)
    slopes = moments.products[:n, n:].T / moments.weight
    start, _ = packing.unpack(state.parameters)
    coef = _solve(problem, model, slopes, start, target_squares(moments, problem))
    intercept = moments.mean[n:] - coef @ (moments.mean[:n] - problem.centre)
    squares = np.trace(moments.products[n:, n:]) / moments.weight
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


class Certificate(NamedTuple):
    """The certificate that the residuals of all rows give for some coefficients.

    Attributes
    ----------
    value : float
        The objective, summed over the outputs.
    gaps : ndarray of shape (n_outputs,)
        Duality gap of each output, a bound on how far its objective is above the minimum.
    descent : ndarray of shape (n_outputs, n_features)
        Negative gradient of the objective without the l1 norm, minimised over the intercepts.
    intercept : ndarray of shape (n_outputs,)
        The best intercepts for these coefficients; all values above are for these intercepts.
    """

    value: float
    gaps: FloatArray
    descent: FloatArray
    intercept: FloatArray


def certify(
    problem: Problem,
    coef: FloatArray,
    intercept: FloatArray,
    centre: FloatArray,
    model: Model | None,
) -> PassGenerator[Certificate]:
    """Request a pass for the residuals, and return the certificate of a point.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    coef, intercept : ndarray of shape (n_outputs, n_features), (n_outputs,)
        The point.
    centre : ndarray of shape (n_features,)
        Mean of the columns, less the objective's centre.
    model : Model or None
        The quadratic model; only a problem without l1 needs it.
    """
    sums: ResidualSums = yield from problem.ask(
        ResidualKernel(),
        CentredModel(coef, problem.centre + centre, intercept + coef @ centre),
        "certificate-pass-{}",
    )
    fitted = problem.packing.fit_intercept
    mean_residual = sums.total / sums.weight if fitted else np.zeros(len(coef))
    squares = sums.squares / sums.weight - mean_residual**2
    # No correction by the mean residual: the centre is the mean of the columns, up to rounding.
    descent = sums.products / sums.weight - l2_strength(problem) * coef
    gaps = duality_gaps(problem, model, squares, descent, coef)
    value = 0.5 * float(squares.sum() + l2_strength(problem) * np.sum(coef * coef))
    value += l1_strength(problem) * float(np.abs(coef).sum())
    return Certificate(value, gaps, descent, intercept + mean_residual)


def error_of_descent(
    problem: Problem, moments: Moments, model: Model, descent: FloatArray, point: FloatArray
) -> float:
    """Return a bound on the largest error of a coefficient of a point.

    Parameters
    ----------
    problem : Problem
        The problem; its total weight is known.
    moments : Moments
        Provide the columns' variances.
    model : Model
        The quadratic model.
    descent : ndarray of shape (n_outputs, n_features)
        See :class:`Certificate`.
    point : ndarray of shape (n_parameters,)
        The parameters, in the packed order.
    """
    coef, _ = problem.packing.unpack(point)
    unbalanced = _unbalanced(problem, descent, coef)
    decrement = np.hypot.reduce(
        [model.distance(*rows) for rows in zip(unbalanced, coef, strict=True)]
    )
    inverse = np.array([model.inverse_diagonal(row) for row in coef])
    per_decrement = error_of_decrement(
        problem,
        point,
        np.diag(moments.products)[: problem.packing.n_features] / moments.weight,
        problem.packing.pack(inverse, np.zeros(len(coef))),
    )
    return float(decrement) / problem.unit * per_decrement


def _unbalanced(problem: Problem, descent: FloatArray, coef: FloatArray) -> FloatArray:
    """Return the part of a negative gradient that neither the norm nor a bound balances."""
    l1 = l1_strength(problem)
    size = descent if _positive(problem) else np.abs(descent)
    zero = np.sign(descent) * np.maximum(size - l1, 0.0)
    return np.asarray(np.where(coef != 0, descent - l1 * np.sign(coef), zero))


def duality_gaps(
    problem: Problem,
    model: Model | None,
    squares: FloatArray,
    descent: FloatArray,
    coef: FloatArray,
) -> FloatArray:
    """Return a bound on how far the objective of each output is above its minimum."""
    l1, l2, positive = l1_strength(problem), l2_strength(problem), _positive(problem)
    if l1 == 0.0:
        assert model is not None
        # No norm bounds the dual point. Instead of a duality gap, take the decrease to the minimum
        # of the quadratic, without the directions that a bound blocks.
        free_descent = np.where((coef > 0) | (descent > 0), descent, 0.0) if positive else descent
        return np.asarray(0.5 * np.sum((free_descent @ model.inverse.T) ** 2, axis=1))
    largest = (descent if positive else np.abs(descent)).max(axis=1, initial=0.0)
    shrink = np.minimum(1.0, l1 / np.maximum(largest, np.finfo(float).tiny))
    norms = np.sum(coef * coef, axis=1)
    # r.y of the centred, extended data is r.r + w.(X.T r), and X.T r is descent + c w.
    extended = squares + l2 * norms
    products = extended + np.sum(coef * descent, axis=1)
    gaps = 0.5 * extended * (1.0 + shrink**2) - shrink * products
    return np.asarray(np.maximum(gaps + l1 * np.abs(coef).sum(axis=1), 0.0))


def _solve(
    problem: Problem, model: Model, slopes: FloatArray, start: FloatArray, spread: FloatArray
) -> FloatArray:
    rows = [
        model.minimise(
            slope,
            l1_strength(problem),
            positive=_positive(problem),
            start=start[k],
            gap=_MODEL_GAP * float(spread[k]),
        )
        for k, slope in enumerate(slopes)
    ]
    return np.array(rows).reshape(start.shape)


def target_squares(moments: Moments, problem: Problem) -> FloatArray:
    """Return the mean square of each target about its mean: the unit of its duality gap."""
    spread = np.diag(moments.products)[problem.packing.n_features :] / moments.weight
    return np.where(spread > 0, spread, 1.0)


def l1_strength(problem: Problem) -> float:
    """Return the strength of the l1 norm beside the mean of the losses."""
    assert problem.l1 is not None
    assert problem.total_weight is not None
    return problem.l1.strength / (1.0 if problem.l1.of_mean else problem.total_weight)


def l2_strength(problem: Problem) -> float:
    """Return the strength of half the squared norm beside the mean of the losses."""
    assert problem.total_weight is not None
    strength = float(np.asarray(problem.penalty.strength).reshape(-1)[0])
    return strength / (1.0 if problem.penalty.of_mean else problem.total_weight)


def _positive(problem: Problem) -> bool:
    return problem.l1 is not None and problem.l1.positive
