"""One fit for the driver: its description, its progress and its solution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.executor import PassResult
from dlbd_estimators.engine.passes import Pass, PassGenerator, Round
from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.history import Record, entries
from dlbd_estimators.solvers.solver import BaseProblem, Solver, State
from dlbd_estimators.solvers.status import Status, issue_warning


@dataclass(frozen=True)
class Fit:
    """The description of a fit: what to minimise, how, and which functions to call meanwhile.

    Attributes
    ----------
    solver : Solver
        The method.
    problem : BaseProblem
        What to minimise.
    start : ndarray, State or None
        Initial parameters, or the state at which another fit stopped; None lets the solver choose.
    tol : float
        Argument of ``State.meets``: for a linear model, the largest acceptable error.
    max_iter : int
        Largest number of steps. A pass that only shortens the last step is part of that step.
    clock : callable
        Returns the seconds since the fit began.
    before_step : callable, optional
        Called with the solver's state before each step.
    on_step : callable, optional
        Called after each step, with the solver's state and the step's record. If it returns True,
        the solver stops. This changes nothing if the step has met ``tol``, or if the solver ends
        with this step anyway. It is not called after a step that diverged.
    on_warning : callable, optional
        Called if the fit ends without a minimum, with the name of the status in lower case, the
        text and the class of the warning. By default, a Python warning is issued.
    prefix : str, default=""
        First words of the warning about an error above ``tol``, if users search for certain words.
    advice : str
        Recommendation of the warning, besides more steps, if the fit does not converge.
    earlier : sequence of Record, optional
        Records of the steps that led to ``start``, if a fit continues from a saved state.
    save : callable, optional
        Called with each state from which this fit can continue, the records so far, and whether
        the fit ends there. It is called before ``on_step``.
    """

    solver: Solver[Any, Any]
    problem: BaseProblem
    start: FloatArray | State | None
    tol: float
    max_iter: int
    clock: Callable[[], float]
    before_step: Callable[[Any], None] | None = None
    on_step: Callable[[Any, Record], bool] | None = None
    on_warning: Callable[[str, str, type[Warning]], None] = issue_warning
    prefix: str = ""
    advice: str = "use solver='auto'"
    earlier: Sequence[Record] | None = None
    save: Callable[[State, Sequence[Record], bool], None] | None = None
    on_error: Callable[[Exception], Exception] | None = None

    @property
    def has_hooks(self) -> bool:
        """Whether functions of the caller run between two steps."""
        return not (self.before_step is None and self.on_step is None and self.save is None)


@dataclass(frozen=True)
class Solution:
    """The result of a fit.

    Attributes
    ----------
    parameters : ndarray
        The parameters as users get them; those of a linear model are in the packed order, for the
        original features.
    status : Status
        Why the solver stopped.
    n_iter : int
        Number of steps.
    n_passes : float
        Passes over the data; a sample of blocks counts by its share of the rows.
    records : list of Record
        One for each step.
    state : State
        The solver's last state.
    """

    parameters: FloatArray
    status: Status
    n_iter: int
    n_passes: float
    records: list[Record] = field(repr=False)
    state: State = field(repr=False)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records as users get them: one dictionary for each step."""
        return entries(self.records)


class FitRun:
    """A running fit: it requests passes until a step has ended, and then begins the next step.

    Attributes
    ----------
    fit : Fit
        The description of the fit.
    request : Pass or Round or None
        The request whose result it waits for; None between two steps.
    share : float
        Share of the rows that this request reads.
    outcome : Solution or Exception or None
        The result of the fit; None until it has ended.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.request: Pass[Any] | Round | None = None
        self.share = 0.0
        self.outcome: Solution | Exception | None = None
        self._records: list[Record] = list(fit.earlier or ())
        self._begun = self._stopped = False
        problem, start = fit.problem, fit.start
        if isinstance(start, State):
            self._step: PassGenerator[State] = _without_pass(start)
            self._n_passes, self._bytes_read = start.n_passes, start.bytes_read
        else:
            start = None if start is None else problem.admissible(start)
            self._step = fit.solver.init(problem, start)
            self._n_passes = float(problem.passes_before)
            self._bytes_read = problem.bytes_before
        self._state: State | None = None
        self._last_complete: State | None = None  # after the last complete step

    @property
    def blocks(self) -> BlockSequence:
        """Blocks that the current request reads."""
        own = self.request.blocks if isinstance(self.request, Pass) else None
        return self.fit.problem.blocks if own is None else own

    @property
    def indices(self) -> tuple[int, ...] | None:
        """Indices of the blocks that the requested pass reads; None is all."""
        return self.request.indices if isinstance(self.request, Pass) else None

    @property
    def n_entries(self) -> int:
        """Number of entries of the matrices that the requested pass returns."""
        return self.request.n_entries if isinstance(self.request, Pass) else 0

    def resume(self, reply: PassResult[Any] | Exception | None = None) -> None:
        """Begin a step, or continue it with the result of its request, up to the next request.

        If the request failed, its error is raised in the solver, which may handle it.
        """
        try:
            if reply is None:
                request = next(self._step)
            elif isinstance(reply, Exception):
                request = self._step.throw(reply)
            else:
                self._count_pass(reply)
                request = self._step.send(reply.partial)
        except StopIteration as end:
            self.request = None
            state: State = end.value
            self._state = replace(state, n_passes=self._n_passes, bytes_read=self._bytes_read)
        except Exception as error:  # noqa: BLE001  (after any error, the other fits continue)
            translate = self.fit.on_error
            self.fail(error if translate is None or error is reply else translate(error))
        else:
            self.share = 1.0
            if isinstance(request, Pass) and request.indices is not None:
                self.share = self.fit.problem.share(request.indices)
            self.request = replace(request, name=request.name.format(int(self._n_passes) + 1))
        finally:
            # The traceback of an error refers to this frame, which must not refer to the error.
            del reply

    def end_step(self) -> None:
        """Record the step that has ended; then begin the next one, or end the fit."""
        try:
            self._end_step()
        except Exception as error:  # noqa: BLE001  (after any error, the other fits continue)
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the fit by an error."""
        self.request, self.outcome = None, error

    def interrupt(self) -> bool:
        """End the fit at its last complete step; return whether this gives a usable model.

        There is no usable model before the first step has ended.
        """
        state = self._last_complete
        if state is None or state.n_iter == 0 or not self.fit.solver.keeps_when_interrupted:
            return False
        self.request = None
        self.outcome = self._solution(replace(state, status=Status.INTERRUPTED))
        return True

    def take_outcome(self) -> Solution | Exception:
        """Return the outcome of the fit, and remove it from this object.

        The traceback of an error refers to this object. If this object also referred to the error,
        the cycle would keep the data in memory until Python's garbage collector finds it.
        """
        outcome, self.outcome = self.outcome, None
        assert outcome is not None
        return outcome

    def _count_pass(self, result: PassResult[Any]) -> None:
        request = self.request
        assert request is not None
        self._n_passes += self.share if request.n_passes is None else request.n_passes
        if self.blocks is self.fit.problem.blocks:
            self._bytes_read += result.cost.bytes_read

    def _end_step(self) -> None:
        fit, state = self.fit, self._state
        assert state is not None
        ends = state.status is not None
        # A step that is made again because it was too long is counted once. scikit-learn does not
        # count the trials of its line searches either.
        counts = not (state.rests or state.within) and (ends or not state.shortened)
        if self._begun and not state.within:
            self._check(state)
            if counts:
                self._state = state = replace(state, n_iter=state.n_iter + 1)
                self._records.append(state.record(fit.clock()))
        if not state.within:
            self._last_complete = state
        ends = ends or (counts and state.n_iter > 0 and self._is_finished(state))
        if fit.save is not None and (self._begun or fit.earlier is None):
            fit.save(state, self._records, ends)
        if self._begun and counts:
            self._call_on_step(state)
        if ends or self._stopped:
            self.outcome = self._solution(state)
            return
        if fit.before_step is not None and not (self._begun and (state.shortened or state.within)):
            fit.before_step(state)
        self._begun = True
        self._step = fit.solver.step(
            fit.solver.with_known_facts(fit.problem, state), state, fit.tol
        )

    def _is_finished(self, state: State) -> bool:
        return state.meets(self.fit.tol) or state.n_iter >= self.fit.max_iter

    def _check(self, state: State) -> None:
        if state.status is Status.DIVERGED:  # the solver has an earlier model to end with
            return
        if not (np.isfinite(state.value) and np.isfinite(state.parameters).all()):
            raise Diverged(
                f"{self.fit.solver.name} reached a non-finite objective in iteration "
                f"{state.n_iter + 1}. Scale the columns of X or strengthen the penalty."
            )

    def _call_on_step(self, state: State) -> None:
        """Call ``on_step`` for the step that has ended at this state."""
        if self.fit.on_step is not None and state.status is not Status.DIVERGED:
            try:
                self._stopped = self.fit.on_step(state, self._records[-1])
            except StopIteration as error:  # to Python it would mean the end of an iterator
                raise RuntimeError(
                    "A callback raised StopIteration; to stop a fit, return True."
                ) from error

    def _solution(self, state: State) -> Solution:
        """Return the solution; warn the user if the fit ended without a minimum."""
        fit, status = self.fit, state.status
        met = state.meets(fit.tol)
        if status is None and met:
            status = Status.CONVERGED
        elif status is None:
            status = Status.STOPPED if self._stopped else Status.MAX_ITER
        if status is Status.CONVERGED and not (met or fit.solver.direct):
            status = Status.STALLED
        if status.is_warned_of:
            message = fit.solver.message(
                fit.problem,
                state,
                status,
                tol=fit.tol,
                max_iter=fit.max_iter,
                prefix=fit.prefix,
                advice=fit.advice,
            )
            fit.on_warning(status.name.lower(), message, status.category)
        parameters = fit.solver.answer(fit.problem, state)
        return Solution(parameters, status, state.n_iter, state.n_passes, self._records, state)


def _without_pass(state: State) -> PassGenerator[State]:
    """Return a state as a solver's step would, but without requesting a pass."""
    yield from ()
    return state
