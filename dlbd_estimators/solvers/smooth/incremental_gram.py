"""Least squares from accumulated moments: the rows of a batch are read once, and never again.

:mod:`~dlbd_estimators.solvers.smooth.gram` reads the rows again if the condition number of their
moments may cost digits. Here earlier rows are not available: the expected loss is reported as the
error.
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
from dlbd_estimators.solvers.smooth.gram import Gram, GramState, rounding_risk, solve_moments
from dlbd_estimators.solvers.solver import PassGenerator, State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True)
class IncrementalGramState(GramState):
    """The state of :class:`IncrementalGram`: adds the centred moments of all rows so far."""

    total: Moments | None = None


class IncrementalGram(Minimizer[IncrementalGramState]):
    """Normal equations of all rows so far.

    Parameters
    ----------
    increment : Increment
        The moments of earlier rows, and the source of the moments to add.
    """

    name: ClassVar[str] = "gram"
    state: ClassVar[type[State]] = IncrementalGramState
    needs: ClassVar[frozenset[str]] = Gram.needs
    direct: ClassVar[bool] = True

    def __init__(self, increment: Increment) -> None:
        self.increment = increment

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:
        return Gram.matrix_side(packing)

    def init(
        self, problem: Problem, start: FloatArray | None
    ) -> PassGenerator[IncrementalGramState]:
        yield from ()  # it begins without a pass
        return IncrementalGramState(np.zeros(problem.packing.size), known=problem.known)

    def step(
        self, problem: Problem, state: IncrementalGramState, tol: float
    ) -> PassGenerator[IncrementalGramState]:
        total = yield from self.increment.ask(problem)
        packing, n = problem.packing, problem.packing.n_features
        moments = total if packing.fit_intercept else about_zero(total)
        solved = solve_moments(problem, state, moments)
        state = replace(state, **{**vars(solved), "total": total})
        if state.status is Status.CONVERGED:
            return state
        coef, _ = packing.unpack(state.parameters)
        risk = state.risk
        if not problem.penalty.active:
            # Fewer rows than features do not determine all directions. The solution has least norm,
            # and only the condition number of the other directions affects its accuracy.
            factor = Factor.of(moments.products[:n, :n])
            risk = rounding_risk(moments, coef, factor.condition_on_range)
        done = risk <= tol
        return replace(
            state,
            error=risk,
            dependent=() if done else Factor.of(moments.products[:n, :n]).dependent(),
            status=Status.CONVERGED if done else Status.STALLED,
        )
