"""Base classes of the solvers of linear models, which minimise an objective and bound the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.evaluation import NOTHING_KNOWN, Known
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.solver import Solver, State
from dlbd_estimators.solvers.status import Status

#: Largest number of columns that a message names.
_MOST_NAMED = 10


@dataclass(frozen=True)
class MinimizerState(State):
    """The state of a linear model's solver, which includes its distance from the minimum.

    The parameters are in the packed order, for features centred as the objective centres them.

    Attributes
    ----------
    error : float
        The largest error of a coefficient at ``parameters``, in standard units of its column and
        relative to the largest coefficient in these units; see
        :mod:`~dlbd_estimators.solvers.coefficient_error`.
    error_is : str
        ``"bound"``, or ``"estimate"``: the true error may be larger than an estimate.
    gradient_norm : float
        Largest absolute entry of the gradient in the last pass.
    step : float
        Length of the last step, relative to the solver's full step.
    dependent : tuple of int
        Columns that are nearly linearly dependent, if this stopped the solver's progress.
    known : Known
        Facts about the data that passes have found.
    """

    error: float = np.inf
    error_is: str = "estimate"
    gradient_norm: float = np.inf
    step: float = 0.0
    dependent: tuple[int, ...] = ()
    known: Known = NOTHING_KNOWN

    def meets(self, tol: float) -> bool:
        return self.error <= tol

    def record(self, seconds: float) -> Record:
        base = super().record(seconds)
        return replace(
            base,
            gradient_norm=self.gradient_norm,
            error=self.error,
            error_is=self.error_is,
            step=self.step,
        )


StateT = TypeVar("StateT", bound=MinimizerState)


class Minimizer(Solver[Problem, StateT]):
    """A method to minimise a linear model's objective."""

    #: What the objective must provide, as :attr:`Problem.provides` names it.
    needs: ClassVar[frozenset[str]]
    #: Whether the method needs only the second moments of the rows.
    by_moments: ClassVar[bool] = False

    @classmethod
    def matrix_side(cls, packing: Packing) -> int:  # noqa: ARG003 - subclasses use it
        """Return the number of rows of the square matrix that the method requires; 0 if none."""
        return 0

    def lengths(self, problem: Problem) -> dict[str, int]:
        n_features, n_outputs = problem.packing.n_features, problem.packing.n_outputs
        return {
            "n_features": n_features,
            "n_outputs": n_outputs,
            "n_columns": n_features + n_outputs,
        }

    def with_known_facts(self, problem: Problem, state: StateT) -> Problem:
        return problem.with_known(state.known)

    def answer(self, problem: Problem, state: StateT) -> FloatArray:
        return problem.with_known(state.known).original(state.parameters)

    def message(
        self,
        problem: Problem,
        state: StateT,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        prefix: str,
        advice: str,
    ) -> str:
        columns = _named(state.dependent, problem.blocks.feature_names)
        return status.value.format(
            prefix=prefix,
            solver=self.name,
            max_iter=max_iter,
            error=state.error,
            tol=tol,
            advice=advice,
            columns=columns,
            hint=f" {columns} may be nearly collinear." if state.dependent else "",
        )


def _named(columns: tuple[int, ...], names: Sequence[str] | None) -> str:
    """Return the names of some columns for a message; without columns, "The columns"."""
    if not columns:
        return "The columns"
    shown = [f"{i}" if names is None else f"{i} ({names[i]!r})" for i in columns[:_MOST_NAMED]]
    more = len(columns) - len(shown)
    return f"Columns {', '.join(shown)}{f' and {more} more' if more else ''}"
