"""What every solver is, and the one loop that drives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.execution.blas import single_threaded_blas
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.solvers.objective import Objective
from dlbd_estimators.solvers.status import Status, warn


@dataclass(frozen=True)
class State:
    """Where a solver stands between two steps; solvers add fields.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        The best point known, in the packed order, for features as the objective centres them.
    value : float
        F where the last pass evaluated it.
    error : float
        Bound or estimate of the Newton decrement at ``parameters``: the distance to the
        minimiser in the metric of the Hessian of the mean loss. It does not depend on the
        units of the columns.
    gradient_norm : float
        Largest absolute entry of the gradient in the last pass.
    step : float
        Length of the last step, relative to the solver's natural one.
    status : Status or None
        Set when the solver knows that it must stop.
    shortened : bool
        The last step was found too long, and no more came of the pass than a shorter one.
    dependent : tuple of int
        Columns that are nearly dependent on one another, where the solver lost its way for it.
    """

    parameters: FloatArray
    value: float = np.inf
    error: float = np.inf
    gradient_norm: float = np.inf
    step: float = 0.0
    status: Status | None = None
    shortened: bool = False
    dependent: tuple[int, ...] = ()


#: Columns in a message.
_MOST_NAMED = 10

StateT = TypeVar("StateT", bound=State)


class Solver(ABC, Generic[StateT]):
    """A method to minimise an objective, one step after the other."""

    #: The name users ask for.
    name: ClassVar[str]
    #: What the objective must provide.
    needs: ClassVar[frozenset[str]]
    #: Solves in a fixed number of passes, as well as the rounding of the data's dtype allows.
    direct: ClassVar[bool] = False

    @abstractmethod
    def init(self, objective: Objective, start: FloatArray | None) -> StateT:
        """Prepare the first step from ``start``, or from nothing."""

    @abstractmethod
    def step(self, objective: Objective, state: StateT, tol: float) -> StateT:
        """Make one step; usually one pass over the data."""


@dataclass(frozen=True)
class Solution:
    """What :func:`minimize` found.

    Attributes
    ----------
    parameters : ndarray
        In the packed order, for the features as they are.
    status : Status
        Why the solver stopped.
    n_iter : int
        Steps made.
    n_passes : float
        Passes over the data; a sample of blocks counts by its share of the rows.
    history : list of dict
        One entry a step: ``iteration``, ``pass`` (passes consumed by its end), ``loss``
        (F in the step's last pass), ``gradient_norm``, ``error``, ``step``, ``seconds``
        (since the fit began), ``bytes_read``.
    state : State
        The solver's last state.
    """

    parameters: FloatArray
    status: Status
    n_iter: int
    n_passes: float
    history: list[dict[str, float]] = field(repr=False)
    state: State = field(repr=False)


def minimize(
    solver: Solver[Any],
    objective: Objective,
    *,
    start: FloatArray | None,
    tol: float,
    max_iter: int,
    clock: Callable[[], float],
    before_step: Callable[[Any], None] | None = None,
    on_step: Callable[[Any, dict[str, float]], bool] | None = None,
    on_warning: Callable[[str, str], None] | None = None,
    opening: str = "",
    advice: str = "use solver='auto'",
) -> Solution:
    """Drive a solver until the error is at most ``tol``.

    Parameters
    ----------
    solver : Solver
        The method.
    objective : Objective
        What to minimise.
    start : ndarray or None
        Where to begin; None lets the solver choose.
    tol : float
        Largest acceptable ``State.error``.
    max_iter : int
        Largest number of steps; a pass that only shortens the last one is part of it.
    clock : callable
        Seconds since the fit began.
    before_step : callable, optional
        Called with the solver's state before each step.
    on_step : callable, optional
        Called with the solver's state after each step and the step's entry in the history;
        True stops the solver there. Where that step has met ``tol``, or is one that the
        solver ends at anyway, this changes nothing.
    on_warning : callable, optional
        Called with why the fit ends and what the user is warned of, before they are.
    opening : str, default=""
        What the warning of an error above ``tol`` begins with, where users look for certain words.
    advice : str
        What else than more steps may be done about a fit that does not converge.

    Raises
    ------
    Diverged
        The objective became infinite or NaN on finite data.

    Warns
    -----
    ConvergenceWarning
        The solver stopped before the error was at most ``tol``, and not because ``on_step``
        asked for it.
    """
    history: list[dict[str, float]] = []
    stopped = False
    with _undisturbed():
        # Steps never move all classes by a common shift: it must not be in the start.
        state = solver.init(objective, None if start is None else objective.without_shift(start))
    while state.status is None:
        if before_step is not None and not state.shortened:
            before_step(state)
        with _undisturbed():
            state = solver.step(objective, state, tol)
        if not (np.isfinite(state.value) and np.isfinite(state.parameters).all()):
            raise Diverged(
                f"{solver.name} reached a non-finite objective in iteration "
                f"{len(history) + 1}. Scale the columns of X or strengthen the penalty."
            )
        if state.shortened and state.status is None:
            continue  # as scikit-learn does not count what its line searches look at
        history.append(
            {
                "iteration": len(history) + 1,
                "pass": objective.n_passes,
                "loss": state.value,
                "gradient_norm": state.gradient_norm,
                "error": state.error,
                "step": state.step,
                "seconds": clock(),
                "bytes_read": objective.bytes_read,
            }
        )
        stopped = on_step is not None and on_step(state, history[-1])
        if stopped or state.error <= tol or len(history) >= max_iter:
            break
    status = state.status
    if status is None and state.error <= tol:
        status = Status.CONVERGED
    elif status is None:
        status = Status.STOPPED if stopped else Status.MAX_ITER
    if status is Status.CONVERGED and not (state.error <= tol or solver.direct):
        status = Status.STALLED
    if status.is_warned_of:
        columns = _named(state.dependent, objective.blocks.feature_names)
        message = status.value.format(
            opening=opening,
            solver=solver.name,
            max_iter=max_iter,
            error=state.error,
            tol=tol,
            advice=advice,
            columns=columns,
            hint=f" {columns} may be nearly collinear." if state.dependent else "",
        )
        warn(on_warning, status.name.lower(), message, status.category)
    parameters = objective.original(state.parameters)
    return Solution(parameters, status, len(history), objective.n_passes, history, state)


def _named(columns: tuple[int, ...], names: Sequence[str] | None) -> str:
    """Name columns in a message, or all of them where none is known."""
    if not columns:
        return "The columns"
    shown = [f"{i}" if names is None else f"{i} ({names[i]!r})" for i in columns[:_MOST_NAMED]]
    more = len(columns) - len(shown)
    return f"Columns {', '.join(shown)}{f' and {more} more' if more else ''}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Surround what the solver does, and nothing that its caller hooks in between."""
    # Small dense solves happen between passes; they too must not depend on the number of
    # cores. What overflows is told by the driver's check, not by warnings on the way.
    with single_threaded_blas, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        yield
