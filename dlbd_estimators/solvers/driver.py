"""The one loop that drives solvers: it runs the passes that they ask for, and keeps the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.execution.base import Executor, PassResult
from dlbd_estimators.execution.blas import single_threaded_blas
from dlbd_estimators.execution.passes import Asks, Pass
from dlbd_estimators.objectives.arrays import FloatArray
from dlbd_estimators.solvers.base import Solver, State
from dlbd_estimators.solvers.objective import Objective
from dlbd_estimators.solvers.status import Status, warn

#: Columns in a message.
_MOST_NAMED = 10


@dataclass(frozen=True)
class Fit:
    """What is to be minimised, and how.

    Attributes
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
    """

    solver: Solver[Any]
    objective: Objective
    start: FloatArray | None
    tol: float
    max_iter: int
    clock: Callable[[], float]
    before_step: Callable[[Any], None] | None = None
    on_step: Callable[[Any, dict[str, float]], bool] | None = None
    on_warning: Callable[[str, str], None] | None = None
    opening: str = ""
    advice: str = "use solver='auto'"


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


def minimize(executor: Executor, fit: Fit) -> Solution:
    """Drive a solver until the error is at most ``tol``.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    fit : Fit
        What to minimise, and how.

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
    run = _Run(fit)
    while run.solution is None:
        with _undisturbed():
            asked = run.tell(None)
            while asked is not None:
                result = executor.map_reduce(
                    asked.kernel,
                    asked.parameters,
                    fit.objective.blocks,
                    name=asked.name,
                    indices=asked.indices,
                )
                asked = run.tell(result)
        run.end_step()
    return run.solution


class _Run:
    """A fit under way: it asks for passes until a step has ended, and then for the next step.

    Attributes
    ----------
    solution : Solution or None
        As soon as the fit is over.
    """

    def __init__(self, fit: Fit) -> None:
        self.solution: Solution | None = None
        self._fit = fit
        self._history: list[dict[str, float]] = []
        self._state: State | None = None
        self._n_passes = float(fit.objective.passes_before)
        self._bytes_read = fit.objective.bytes_before
        self._share = 0.0  # of the rows that the pass asked for reads
        # Steps never move all classes by a common shift: it must not be in the start.
        start = None if fit.start is None else fit.objective.without_shift(fit.start)
        self._step: Asks[State] = fit.solver.init(fit.objective, start)
        self._begun = self._stopped = False

    def tell(self, result: PassResult[Any] | None) -> Pass[Any] | None:
        """Tell the solver what the pass that it asked for has brought; return what it asks next.

        None begins a step, and is returned at its end.
        """
        if result is not None:
            self._bytes_read += result.cost.bytes_read
            self._n_passes += self._share
        try:
            asked = self._step.send(None if result is None else result.partial)
        except StopIteration as end:
            state: State = end.value
            self._state = replace(state, n_passes=self._n_passes, bytes_read=self._bytes_read)
            return None
        indices = asked.indices
        self._share = 1.0 if indices is None else self._fit.objective.share(indices)
        return replace(asked, name=asked.name.format(int(self._n_passes) + 1))

    def end_step(self) -> None:
        """Record the step that has ended; then begin the next one, or end the fit."""
        fit, state = self._fit, self._state
        assert state is not None
        over = state.status is not None
        if self._begun:
            self._check(state)
            # A step that was found too long goes on; nor does scikit-learn count what its line
            # searches look at.
            if over or not state.shortened:
                self._record(state)
                enough = state.error <= fit.tol or len(self._history) >= fit.max_iter
                over = over or self._stopped or enough
        if over:
            self.solution = self._solve(state)
            return
        if fit.before_step is not None and not state.shortened:
            fit.before_step(state)
        self._begun = True
        self._step = fit.solver.step(fit.objective, state, fit.tol)

    def _check(self, state: State) -> None:
        if not (np.isfinite(state.value) and np.isfinite(state.parameters).all()):
            raise Diverged(
                f"{self._fit.solver.name} reached a non-finite objective in iteration "
                f"{len(self._history) + 1}. Scale the columns of X or strengthen the penalty."
            )

    def _record(self, state: State) -> None:
        entry = {
            "iteration": len(self._history) + 1,
            "pass": state.n_passes,
            "loss": state.value,
            "gradient_norm": state.gradient_norm,
            "error": state.error,
            "step": state.step,
            "seconds": self._fit.clock(),
            "bytes_read": state.bytes_read,
        }
        self._history.append(entry)
        self._stopped = self._fit.on_step is not None and self._fit.on_step(state, entry)

    def _solve(self, state: State) -> Solution:
        """Tell why the fit ends, and warn the user where it is not for a minimum."""
        fit, status = self._fit, state.status
        if status is None and state.error <= fit.tol:
            status = Status.CONVERGED
        elif status is None:
            status = Status.STOPPED if self._stopped else Status.MAX_ITER
        if status is Status.CONVERGED and not (state.error <= fit.tol or fit.solver.direct):
            status = Status.STALLED
        if status.is_warned_of:
            columns = _named(state.dependent, fit.objective.blocks.feature_names)
            message = status.value.format(
                opening=fit.opening,
                solver=fit.solver.name,
                max_iter=fit.max_iter,
                error=state.error,
                tol=fit.tol,
                advice=fit.advice,
                columns=columns,
                hint=f" {columns} may be nearly collinear." if state.dependent else "",
            )
            warn(fit.on_warning, status.name.lower(), message, status.category)
        parameters = fit.objective.original(state.parameters)
        n_iter = len(self._history)
        return Solution(parameters, status, n_iter, state.n_passes, self._history, state)


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
