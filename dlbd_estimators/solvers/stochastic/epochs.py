"""Training by mini-batches: epochs, learning rates, and when to stop.

The rules are scikit-learn's. An epoch is better than those before if its loss is less than the
best by more than ``tol``; with a score on rows held out, if that is more than the best by at
least ``tol``. More than ``patience`` epochs in a row that are not better end training, or, with
the schedule ``"adaptive"``, divide the learning rate by five.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.solver import Asks, BaseProblem, Solver, State
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.one_epoch import EpochScheme

#: The schedule "adaptive" stops rather than divide a rate that is as small as this.
_SMALLEST_RATE = 1e-6
_MESSAGES = {
    Status.MAX_ITER: (
        "Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't "
        "converged yet."
    ),
    Status.DIVERGED: "{reason} The model is that of the best validation score.",
    Status.INTERRUPTED: "Training interrupted by user.",
}

#: Asks for the score of parameters on rows held out.
Score: TypeAlias = Callable[[FloatArray], Asks[float]]


@dataclass(frozen=True, eq=False)
class Training(BaseProblem):
    """A network and the rows to train it on.

    Parameters
    ----------
    blocks : Blocks
        They hold these rows.
    scheme : EpochScheme
        How an epoch goes over them.
    score : callable or None
        Asks for a score on rows held out.
    """

    scheme: EpochScheme
    score: Score | None = None


@dataclass(frozen=True)
class Epochs(Solver[Training, EpochState]):
    """Mini-batch training; a step is an epoch, or a round of one.

    Parameters
    ----------
    patience : float
        Epochs in a row that may be no better.
    schedule : {"constant", "invscaling", "adaptive"}
        Of the learning rate.
    learning_rate : float
        The first.
    power_t : float
        Of ``"invscaling"``: rate / (rows seen + 1)^power_t.
    once : bool
        One epoch is all that is asked for.
    """

    patience: float
    schedule: str
    learning_rate: float
    power_t: float
    once: bool = False

    name: ClassVar[str] = "epochs"
    state: ClassVar[type[State]] = EpochState
    keeps_when_interrupted: ClassVar[bool] = True

    def init(self, problem: Training, start: FloatArray | None) -> Asks[EpochState]:
        yield from ()
        assert start is not None
        return problem.scheme.begin(start, self.learning_rate)

    def step(self, problem: Training, state: EpochState, tol: float) -> Asks[EpochState]:
        try:
            trained = yield from problem.scheme.epoch(state)
        except Diverged as error:
            if problem.score is None or state.best_parameters is None:
                raise
            return state.diverged(str(error))
        if trained.within:
            return trained
        trained = replace(trained, last_rate=state.learning_rate, slowed=False)
        if problem.score is None:
            trained = trained.judged_by_loss(tol)
        else:
            score = yield from problem.score(trained.parameters)
            trained = trained.judged_by_score(score, tol)
        return self._paced(trained)

    def answer(self, problem: Training, state: EpochState) -> FloatArray:
        if problem.score is None or state.best_parameters is None:
            return state.parameters
        return state.best_parameters

    def message(
        self,
        problem: Training,
        state: EpochState,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        opening: str,
        advice: str,
    ) -> str:
        return _MESSAGES[status].format(max_iter=max_iter, reason=state.reason)

    def lines(self, state: EpochState, tol: float) -> list[str]:
        """Return what scikit-learn prints after an epoch."""
        lines = [f"Iteration {state.n_iter}, loss = {state.value:.8f}"]
        if state.score is not None:
            lines.append(f"Validation score: {state.score:f}")
        what = "Training loss" if state.score is None else "Validation score"
        said = f"{what} did not improve more than tol={tol:f} for {self.patience} epochs."
        if state.slowed:
            lines.append(f"{said} Setting learning rate to {state.learning_rate:f}")
        elif state.n_not_better > self.patience:
            lines.append(f"{said} Stopping.")
        return lines

    def _paced(self, state: EpochState) -> EpochState:
        """Set the learning rate of the next epoch, or end the training."""
        rate = state.learning_rate
        if self.schedule == "invscaling":
            rate = self.learning_rate / math.pow(state.n_seen + 1, self.power_t)
        status = Status.DONE if self.once else None
        if state.n_not_better <= self.patience:
            return replace(state, learning_rate=rate, status=status)
        if self.schedule == "adaptive" and rate > _SMALLEST_RATE:
            return replace(
                state, learning_rate=rate / 5.0, status=status, n_not_better=0, slowed=True
            )
        return replace(state, learning_rate=rate, status=status or Status.CONVERGED)
