"""Lasso, elastic net and bounds from accumulated moments: rows are read once, and never again.

Coordinate descent on the moments of all rows so far gives the solution, and the same moments give
its duality gap. Earlier rows are not available to measure the error due to the rounding of the
moments. It is estimated from the condition number for the coefficients that are not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import Factor
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.kept_moments import Increment
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.moment_scores import about_zero
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.certificate import (
    duality_gaps,
    error_of_descent,
    l2_strength,
)
from dlbd_estimators.solvers.proximal.coordinate_descent import (
    CoordinateDescent,
    CoordinateState,
    solve_moments,
)
from dlbd_estimators.solvers.smooth.gram import rounding_risk
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True)
class IncrementalDescentState(CoordinateState):
    """The state of :class:`IncrementalDescent`: adds the centred moments of all rows so far."""

    total: Moments | None = None


class IncrementalDescent(Minimizer[IncrementalDescentState]):
    """Coordinate descent on the moments of all rows so far.

    Parameters
    ----------
    increment : Increment
        The moments of earlier rows, and the source of the moments to add.
    """

    name: ClassVar[str] = "coordinate_descent"
    state: ClassVar[type[State]] = IncrementalDescentState
    needs: ClassVar[frozenset[str]] = CoordinateDescent.needs

    def __init__(self, increment: Increment) -> None:
        self.increment = increment

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return CoordinateDescent.matrix_side(packing)

    def init(
        self, problem: Problem, start: FloatArray | None
    ) -> PassGenerator[IncrementalDescentState]:
        yield from ()  # it begins without a pass
        # Begin at zero: the same rows then give the same bits, however they came in batches.
        return IncrementalDescentState(np.zeros(problem.packing.size), known=problem.known)

    def step(
        self, problem: Problem, state: IncrementalDescentState, tol: float
    ) -> PassGenerator[IncrementalDescentState]:
        total = yield from self.increment.ask(problem)
        packing, n = problem.packing, problem.packing.n_features
        moments = total if packing.fit_intercept else about_zero(total)
        solved = solve_moments(problem, state, moments)
        assert solved.model is not None
        problem = problem.with_known(solved.known)
        coef, _ = packing.unpack(solved.parameters)
        gram = moments.products[:n, :n] / moments.weight
        cross = moments.products[:n, n:].T / moments.weight
        squares = np.diag(moments.products)[n:] / moments.weight
        squares = squares - np.sum(coef * (2.0 * cross - coef @ gram), axis=1)
        descent = cross - coef @ gram - l2_strength(problem) * coef
        gaps = duality_gaps(problem, solved.model, np.maximum(squares, 0.0), descent, coef)
        error = error_of_descent(problem, moments, solved.model, descent, solved.parameters)
        kept = np.any(coef != 0, axis=0)
        block = gram[np.ix_(kept, kept)] + l2_strength(problem) * np.eye(int(kept.sum()))
        condition = Factor.of(block).condition_on_range if kept.any() else 1.0
        error += rounding_risk(moments, coef, condition)
        return replace(
            state,
            **{
                **vars(solved),
                "total": total,
                "error": error,
                "gaps": gaps,
                "gradient_norm": float(np.abs(descent).max(initial=0.0)),
                "status": Status.CONVERGED if error <= tol else Status.STALLED,
            },
        )
