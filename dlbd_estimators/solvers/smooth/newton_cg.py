"""Newton's method without a Hessian: each step by conjugate gradients, a product a pass.

For many classes, or features: the whole Hessian of K classes and p features has (K p)^2 entries,
and forming it takes K p times as long as a gradient. A step here is one fused pass for value,
gradient and the preconditioner, some passes for products of the Hessian with a vector, and the
full step from there. As in :mod:`~dlbd_estimators.solvers.smooth.newton` the next pass shows
whether the value fell enough, a sample of blocks gives the start, and what the last step leaves is
bounded by generalised self-concordance; what conjugate gradients leave of it is an estimate, and so
is what that means for the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Columns, Evaluation
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, rounding
from dlbd_estimators.solvers.matrix_memory import holds
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    fell_enough,
    halved,
    restarted_at_zero,
    sample_misled,
)
from dlbd_estimators.solvers.smooth.backtracking import rounding as noise_of
from dlbd_estimators.solvers.smooth.conjugate_gradients import (
    InexactStep,
    PerOutput,
    Preconditioner,
    inexact_step,
)
from dlbd_estimators.solvers.smooth.preconditioner import Standardised, across
from dlbd_estimators.solvers.smooth.separation import (
    ellipsoid_of,
    outlook,
    remainder,
)
from dlbd_estimators.solvers.solver import Asks, State
from dlbd_estimators.solvers.status import Status

#: Products with the Hessian in a step; what they have not found then, the next step goes for.
_MAX_PRODUCTS = 400
#: Steps on a sample; one that takes more does not determine the parameters.
_MAX_ON_SAMPLE = 25
#: Steps within rounding after which no further progress is expected.
_PATIENCE = 5
#: Steps in a row that tell of a minimum near, where classes may separate. Conjugate gradients leave
#: of a step what is small in their metric, such as a way without end that has little left to gain;
#: the next gradient holds little else, so that the next step does go there.
_SETTLED_STEPS = 3
#: The preconditioner has this many rows for each parameter, where there are more,
_ROWS_PER_PARAMETER = 8
#: and of a share of the rows this much of the correlations is not believed.
_SHRINKAGE = 0.05


@dataclass(frozen=True)
class NewtonCGState(TrialState):
    """Adds what is known of rows and of the way so far.

    Attributes
    ----------
    radius : float or None
        Largest scaled row norm, as soon as a full pass has brought it.
    best : float
        The least decrement so far.
    since_best : int
        Steps since.
    n_settled : int
        The last steps in a row that told of a minimum near.
    """

    radius: float | None = None
    best: float = np.inf
    since_best: int = 0
    n_settled: int = 0


class NewtonCG(Minimizer[NewtonCGState]):
    """Newton's method by preconditioned conjugate gradients."""

    name: ClassVar[str] = "newton_cg"
    state: ClassVar[type[State]] = NewtonCGState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> Asks[NewtonCGState]:
        if start is not None:
            return NewtonCGState(start, known=problem.known)
        warm = None
        if not problem.loss.quadratic:
            problem, warm = yield from _solve_samples(problem)
        if warm is not None:
            return NewtonCGState(warm, known=problem.known, from_sample=True)
        return NewtonCGState(np.zeros(problem.packing.size), known=problem.known)

    def step(self, problem: Problem, state: NewtonCGState, tol: float) -> Asks[NewtonCGState]:
        columns = state.columns
        ellipsoid = None
        if columns is not None and state.radius is None:
            ellipsoid = ellipsoid_of(columns)
        here = yield from _evaluate(
            problem,
            state.parameters,
            "newton-cg-pass-{}",
            ellipsoid=ellipsoid,
            moments=columns is None,
        )
        problem = problem.at(here.known)
        state = replace(state, parameters=here.point, known=here.known)
        if sample_misled(problem, state, here.value):
            return restarted_at_zero(state, here.value)
        if not fell_enough(problem, state, here.value):
            return halved(state, here.value)
        columns = here.columns or columns
        assert columns is not None
        radius = here.radius if ellipsoid is not None else state.radius
        metric = _preconditioner(problem, here, columns)
        least = rounding("float64") * float(np.sqrt(min(_condition(metric), 1e14)))
        # A way down without end is told by steps that stay long, however little they gain.
        inverse = metric.inverse_diagonal()
        per_decrement = error_of_decrement(problem, here.point, columns.variance, inverse)
        enough = 0.0 if problem.may_separate else 0.1 * max(tol / per_decrement, least)
        found = yield from _inexact(problem, here, metric, enough=enough)
        step = problem.without_shift(found.step)
        slope = -float(step @ here.gradient)
        decrement = float(np.sqrt(max(slope, 0.0))) / problem.unit
        left = found.left / problem.unit
        ahead = yield from outlook(
            problem,
            step,
            columns,
            radius,
            decrement,
            "newton-cg-largest-change",
            state.long_steps,
        )
        change, settled, long_steps = ahead
        error = left if decrement == 0.0 else decrement * remainder(change) + left
        error = max(error, across(problem, here.gradient, columns))
        smallest = min(max(found.smallest, np.finfo(float).eps), 1.0)
        per_decrement = error_of_decrement(
            problem, here.point + step, columns.variance, inverse / smallest
        )
        error *= per_decrement
        # What conjugate gradients leave of a quadratic is all there is, and only estimated.
        near = max(tol / per_decrement, least)
        unseen = problem.loss.quadratic and decrement > near
        n_settled = state.n_settled + 1 if settled else 0
        early = problem.may_separate and n_settled < _SETTLED_STEPS
        status = None
        if early or unseen:
            error = np.inf
        elif decrement + left <= near:
            # No point is nearer: the gradient's own rounding hides the rest.
            error, status = min(error, (decrement + left) * per_decrement), Status.CONVERGED
        noise = noise_of(problem, state, here.value)
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        if problem.separated(here):
            status = Status.SEPARABLE
        elif ahead.endless:
            error, status = np.inf, Status.QUASI_SEPARABLE
        elif status is None and error > tol and since_best > _PATIENCE and slope <= noise:
            status = Status.STALLED
        return replace(
            accepted(state, here, slope),
            parameters=state.parameters + (0.0 if status is Status.SEPARABLE else step),
            error=error,
            status=status,
            columns=columns,
            radius=radius,
            long_steps=long_steps,
            best=min(decrement, state.best),
            since_best=since_best,
            n_settled=n_settled,
        )


def _evaluate(
    problem: Problem,
    parameters: FloatArray,
    label: str,
    *,
    indices: Sample | None = None,
    ellipsoid: tuple[FloatArray, FloatArray] | None = None,
    moments: bool = True,
) -> Asks[Evaluation]:
    """Evaluate the objective, and with it the preconditioner, where its memory allows one."""
    fits = _fits(problem)
    return problem.evaluate(
        parameters,
        Order.HESSIAN if fits else Order.GRADIENT,
        label,
        indices=indices,
        ellipsoid=ellipsoid,
        moments=moments,
        per_output=stride(problem) if fits else 0,
    )


def _fits(problem: Problem) -> bool:
    outputs, width = problem.packing.shape
    n_entries = outputs * width**2
    return n_entries <= LARGEST_HESSIAN**2 and holds(problem, n_entries)


def stride(problem: Problem) -> int:
    """Return how many rows each row of the preconditioner stands for."""
    return max(1, (problem.n_rows or 0) // (_ROWS_PER_PARAMETER * problem.packing.size))


def _preconditioner(problem: Problem, here: Evaluation, columns: Columns) -> Preconditioner:
    if here.hessian is None:
        return Standardised(problem, columns)
    return PerOutput(here.hessian, _SHRINKAGE if stride(problem) > 1 else 0.0)


def _condition(metric: Preconditioner) -> float:
    return metric.condition if isinstance(metric, PerOutput) else 1.0


def _inexact(
    problem: Problem,
    here: Evaluation,
    metric: Preconditioner,
    *,
    enough: float,
    indices: Sample | None = None,
) -> Asks[InexactStep]:
    """Return a step that is exact enough to be worth its passes: more exact near the minimum."""
    decrement = float(np.sqrt(max(float(here.gradient @ metric.solve(here.gradient)), 0.0)))

    def product(vector: FloatArray) -> Asks[FloatArray]:
        return problem.product(here.point, vector, "newton-cg-product", indices)

    return inexact_step(
        product,
        here.gradient,
        metric,
        problem.without_shift,
        share=min(0.25, float(np.sqrt(decrement / problem.unit))),
        enough=enough * problem.unit,
        max_products=_MAX_PRODUCTS,
    )


def _solve_samples(problem: Problem) -> Asks[tuple[Problem, FloatArray | None]]:
    """Return the minimiser of a sample of blocks, or None if it has none.

    With it comes the objective, with what the samples have taught.
    """
    point: FloatArray | None = None
    for indices in problem.samples:
        problem, point = yield from _solve_sample(problem, point, indices)
        if point is None:
            break
    return problem, point


def _solve_sample(
    problem: Problem, start: FloatArray | None, indices: Sample
) -> Asks[tuple[Problem, FloatArray | None]]:
    # Beyond its own sampling error a sample says nothing about the whole.
    enough = 0.1 * problem.sampling_error(indices)
    parameters = np.zeros(problem.packing.size) if start is None else start
    base, step, slope, scale = np.inf, np.zeros_like(parameters), 0.0, 1.0
    for _ in range(_MAX_ON_SAMPLE):
        here = yield from _evaluate(problem, parameters, "newton-cg-sample", indices=indices)
        problem = problem.at(here.known)
        if not np.isfinite(here.value) or problem.separated(here):
            return problem, None
        if here.value > base - 1e-4 * scale * slope:
            scale /= 2
            parameters = parameters - scale * step
            continue
        assert here.columns is not None
        metric = _preconditioner(problem, here, here.columns)
        found = yield from _inexact(problem, here, metric, enough=0.1 * enough, indices=indices)
        step = problem.without_shift(found.step)
        base, slope, scale = here.value, -float(step @ here.gradient), 1.0
        parameters = here.point + step
        if slope <= enough:
            return problem, np.asarray(parameters)
    return problem, None
