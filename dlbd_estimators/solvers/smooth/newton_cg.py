"""Newton-CG: each Newton step by conjugate gradients, with one pass for each Hessian product.

It is for many classes or features: the full Hessian of K classes and p features has (K p)^2
entries, and forming it takes K p times as long as a gradient. A step is one fused pass for value,
gradient and the preconditioner, some passes for products of the Hessian with a vector, and then the
full step. As in :mod:`~dlbd_estimators.solvers.smooth.newton`, the next pass shows whether the
value fell enough, a sample of blocks gives the start, and generalised self-concordance bounds the
decrement after an exact step. The residual of conjugate gradients is only estimated, and so is the
error of the coefficients.

With many outputs, products are computed in float32, and near the minimum, where the curvature
hardly changes, the preconditioner of an earlier step is used again
(:mod:`~dlbd_estimators.solvers.smooth.output_curvature`). Like an inexact step, neither changes the
point that the gradients determine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Order, Shapes
from dlbd_estimators.solvers.coefficient_error import error_of_decrement
from dlbd_estimators.solvers.evaluation import Evaluation
from dlbd_estimators.solvers.factor import rounding
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample
from dlbd_estimators.solvers.smooth.backtracking import (
    TrialState,
    accepted,
    halved,
    restarted_at_zero,
    sample_misled,
    satisfies_armijo,
)
from dlbd_estimators.solvers.smooth.backtracking import rounding as noise_of
from dlbd_estimators.solvers.smooth.conjugate_gradients import (
    InexactStep,
    Preconditioner,
    inexact_step,
)
from dlbd_estimators.solvers.smooth.output_curvature import (
    condition,
    forming_dtype,
    forms_anew,
    is_rough,
    lost_in_products,
    preconditioner,
    preconditioner_fits,
    product_dtype,
    stride,
    takes_float64,
)
from dlbd_estimators.solvers.smooth.preconditioner import hidden_decrement
from dlbd_estimators.solvers.smooth.separation import (
    diagnose_step,
    ellipsoid_of,
    remainder,
)
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status

#: Largest number of Hessian products in a step; if they are not enough, the next step continues.
_MAX_PRODUCTS = 400
#: Largest number of steps on a sample; one that takes more does not determine the parameters.
_MAX_ON_SAMPLE = 25
#: Steps within rounding error after which no further progress is expected.
_PATIENCE = 5
#: Consecutive short steps that show that a minimum is near, if classes may be separable. Truncated
#: conjugate gradients omit what is small in their metric, such as an unbounded direction with a
#: small gain. It is then most of the next gradient, so that the next step does follow it.
_SETTLED_STEPS = 3


@dataclass(frozen=True)
class NewtonCGState(TrialState):
    """The state of :class:`NewtonCG`: adds a row norm and the progress so far.

    Attributes
    ----------
    radius : float or None
        Largest scaled row norm; None until a full pass has computed it.
    best : float
        The smallest decrement so far.
    since_best : int
        Number of steps since the smallest decrement.
    n_settled : int
        Number of consecutive last steps that showed that a minimum is near.
    own_curvature : ndarray or None
        The Hessian of each output alone, from which the preconditioner is made; None if the next
        pass forms it.
    hessian_dtype : str
        Precision of the next preconditioner and of products, if there are many outputs.
    """

    shapes: ClassVar[Shapes] = {"own_curvature": ("n_outputs", "width", "width")}

    radius: float | None = None
    best: float = np.inf
    since_best: int = 0
    n_settled: int = 0
    own_curvature: FloatArray | None = None
    hessian_dtype: str = "float32"


class NewtonCG(Minimizer[NewtonCGState]):
    """Newton's method by preconditioned conjugate gradients."""

    name: ClassVar[str] = "newton_cg"
    state: ClassVar[type[State]] = NewtonCGState
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "hessian", "smooth"})

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[NewtonCGState]:
        if start is not None:
            return NewtonCGState(start, known=problem.known)
        warm = None
        if not problem.loss.quadratic:
            problem, warm = yield from _solve_samples(problem)
        if warm is not None:
            return NewtonCGState(warm, known=problem.known, from_sample=True)
        return NewtonCGState(np.zeros(problem.packing.size), known=problem.known)

    def step(
        self, problem: Problem, state: NewtonCGState, tol: float
    ) -> PassGenerator[NewtonCGState]:
        columns = state.columns
        ellipsoid = None
        if columns is not None and state.radius is None:
            ellipsoid = ellipsoid_of(columns)
        formed_in = forming_dtype(problem, state.hessian_dtype)
        evaluation = yield from _evaluate(
            problem,
            state.parameters,
            "newton-cg-pass-{}",
            ellipsoid=ellipsoid,
            moments=columns is None,
            form=forms_anew(problem, state.own_curvature, state.best),
            dtype=formed_in,
        )
        problem = problem.with_known(evaluation.known)
        state = replace(
            state,
            parameters=evaluation.point,
            known=evaluation.known,
            own_curvature=state.own_curvature if evaluation.hessian is None else evaluation.hessian,
        )
        if sample_misled(problem, state, evaluation.value):
            return restarted_at_zero(state, evaluation.value)
        if not satisfies_armijo(problem, state, evaluation.value):
            return halved(state, evaluation.value)
        columns = evaluation.columns or columns
        assert columns is not None
        radius = evaluation.radius if ellipsoid is not None else state.radius
        metric = preconditioner(problem, state.own_curvature, columns)
        least = rounding("float64") * float(np.sqrt(min(condition(metric), 1e14)))
        # An unbounded descent is recognised by steps that stay long, however little they gain. If
        # classes may be separable, a step is therefore not truncated because its gain is small.
        inverse = metric.inverse_diagonal()
        per_decrement = error_of_decrement(problem, evaluation.point, columns.variance, inverse)
        enough = 0.0 if problem.may_separate else 0.1 * max(tol / per_decrement, least)
        dtype = product_dtype(problem, metric, formed_in)
        found = yield from _inexact(problem, evaluation, metric, enough=enough, dtype=dtype)
        step = problem.without_shift(found.step)
        slope = -float(step @ evaluation.gradient)
        decrement = float(np.sqrt(max(slope, 0.0))) / problem.unit
        left = found.left / problem.unit
        diagnosis = yield from diagnose_step(
            problem,
            step,
            columns,
            radius,
            decrement,
            "newton-cg-largest-change",
            state.long_steps,
        )
        smallest = min(max(found.smallest, np.finfo(float).eps), 1.0)
        lost = lost_in_products(metric, dtype, smallest)
        rough = is_rough(metric, formed_in) or takes_float64(lost)
        error = (
            left if decrement == 0.0 else decrement * (remainder(diagnosis.change) + lost) + left
        )
        error = max(error, hidden_decrement(problem, evaluation.gradient, columns))
        per_decrement = error_of_decrement(
            problem, evaluation.point + step, columns.variance, inverse / smallest
        )
        error *= per_decrement
        # For a quadratic loss the residual of conjugate gradients is the only error. It is only an
        # estimate, so the next pass has to confirm it.
        near = max(tol / per_decrement, least)
        unconfirmed = problem.loss.quadratic and decrement > near
        n_settled = state.n_settled + 1 if diagnosis.settled else 0
        early = problem.may_separate and n_settled < _SETTLED_STEPS
        status = None
        if early or unconfirmed or rough:
            error = np.inf
        elif decrement + left <= near:
            # No nearer point can be found: the rounding of the gradient hides a smaller decrement.
            error, status = min(error, (decrement + left) * per_decrement), Status.CONVERGED
        since_best = 0 if decrement < 0.9 * state.best else state.since_best + 1
        if problem.separates_rows(evaluation):
            status = Status.SEPARABLE
        elif diagnosis.is_unbounded:
            error, status = np.inf, Status.QUASI_SEPARABLE
        elif status is None and error > tol and since_best > _PATIENCE:
            noise = noise_of(problem, state, evaluation.value)
            status = Status.STALLED if slope <= noise else None
        best = min(decrement, state.best)
        return replace(
            accepted(state, evaluation, slope),
            parameters=state.parameters + (0.0 if status is Status.SEPARABLE else step),
            error=error,
            status=status,
            columns=columns,
            radius=radius,
            long_steps=diagnosis.long_steps,
            best=best,
            since_best=since_best,
            n_settled=n_settled,
            own_curvature=None
            if rough or forms_anew(problem, state.own_curvature, best)
            else state.own_curvature,
            hessian_dtype="float64" if rough else state.hessian_dtype,
        )


def _evaluate(
    problem: Problem,
    parameters: FloatArray,
    label: str,
    *,
    indices: Sample | None = None,
    ellipsoid: tuple[FloatArray, FloatArray] | None = None,
    moments: bool = True,
    form: bool = True,
    dtype: str = "float64",
) -> PassGenerator[Evaluation]:
    """Evaluate the objective; on request form the preconditioner, if there is memory for it."""
    fits = form and preconditioner_fits(problem)
    return problem.evaluate(
        parameters,
        Order.HESSIAN if fits else Order.GRADIENT,
        label,
        indices=indices,
        ellipsoid=ellipsoid,
        moments=moments,
        per_output=stride(problem) if fits else 0,
        hessian_dtype=dtype,
    )


def _inexact(
    problem: Problem,
    evaluation: Evaluation,
    metric: Preconditioner,
    *,
    enough: float,
    dtype: str,
    indices: Sample | None = None,
) -> PassGenerator[InexactStep]:
    """Return an inexact Newton step, which is more exact near the minimum."""
    decrement = float(
        np.sqrt(max(float(evaluation.gradient @ metric.solve(evaluation.gradient)), 0.0))
    )

    def product(vector: FloatArray) -> PassGenerator[FloatArray]:
        return problem.product(evaluation.point, vector, "newton-cg-product", indices, dtype)

    return inexact_step(
        product,
        evaluation.gradient,
        metric,
        problem.without_shift,
        share=min(0.25, float(np.sqrt(decrement / problem.unit))),
        enough=enough * problem.unit,
        max_products=_MAX_PRODUCTS,
    )


def _solve_samples(problem: Problem) -> PassGenerator[tuple[Problem, FloatArray | None]]:
    """Return the problem, and the minimiser of a sample of blocks (None if there is none).

    The problem holds the facts about the data that the samples have shown.
    """
    point: FloatArray | None = None
    for indices in problem.samples:
        problem, point = yield from _solve_sample(problem, point, indices)
        if point is None:
            break
    return problem, point


def _solve_sample(
    problem: Problem, start: FloatArray | None, indices: Sample
) -> PassGenerator[tuple[Problem, FloatArray | None]]:
    # A sample determines the minimiser over all rows only to its sampling error.
    enough = 0.1 * problem.sampling_error(indices)
    parameters = np.zeros(problem.packing.size) if start is None else start
    base, step, slope, scale = np.inf, np.zeros_like(parameters), 0.0, 1.0
    for _ in range(_MAX_ON_SAMPLE):
        evaluation = yield from _evaluate(problem, parameters, "newton-cg-sample", indices=indices)
        problem = problem.with_known(evaluation.known)
        if not np.isfinite(evaluation.value) or problem.separates_rows(evaluation):
            return problem, None
        if evaluation.value > base - 1e-4 * scale * slope:
            scale /= 2
            parameters = parameters - scale * step
            continue
        assert evaluation.columns is not None
        metric = preconditioner(problem, evaluation.hessian, evaluation.columns)
        found = yield from _inexact(
            problem,
            evaluation,
            metric,
            enough=0.1 * enough,
            dtype=product_dtype(problem, metric, "float32"),
            indices=indices,
        )
        step = problem.without_shift(found.step)
        base, slope, scale = evaluation.value, -float(step @ evaluation.gradient), 1.0
        parameters = evaluation.point + step
        if slope <= enough:
            return problem, np.asarray(parameters)
    return problem, None
