"""Training by mini-batches: epochs, learning rates, and when to stop.

The rules are those of scikit-learn. An epoch is an improvement if its loss is below the best loss
by more than ``tol``. If a score on validation rows decides, it is an improvement if its score is
above the best score by at least ``tol``. After more than ``patience`` consecutive epochs without
improvement, the training ends or, with the schedule ``"adaptive"``, the learning rate is divided by
five.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np

from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.solver import BaseProblem, PassGenerator, Solver, State
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.one_epoch import EpochScheme
from dlbd_estimators.solvers.stochastic.schedules import EpochSchedule

#: The schedule "adaptive" ends the training if the learning rate is not above this.
_SMALLEST_RATE = 1e-6
_MESSAGES = {
    Status.MAX_ITER: (
        "Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't "
        "converged yet."
    ),
    Status.DIVERGED: "{reason} The model is the one with the best validation score.",
    Status.INTERRUPTED: "Training interrupted by user.",
}


class Validation(NamedTuple):
    """The score of parameters on validation rows, and the mean loss there, without penalty."""

    score: float
    loss: float


#: A function that requests the validation of parameters.
Score: TypeAlias = Callable[[FloatArray], PassGenerator[Validation]]


@dataclass(frozen=True, eq=False)
class Training(BaseProblem):
    """A network and the rows to train it on.

    Parameters
    ----------
    blocks : Blocks
        The blocks that hold these rows.
    scheme : EpochScheme
        Trains one epoch on the rows.
    score : callable or None
        Requests the validation on rows that the network is not trained on.
    """

    scheme: EpochScheme
    score: Score | None = None


@dataclass(frozen=True)
class Epochs(Solver[Training, EpochState]):
    """Mini-batch training; a step is an epoch, or a round of one.

    Parameters
    ----------
    patience : float
        Largest number of consecutive epochs without improvement.
    schedule : {"constant", "invscaling", "adaptive"}
        Schedule of the learning rate.
    learning_rate : float
        The initial learning rate.
    power_t : float
        Exponent of ``"invscaling"``: rate / (rows seen + 1)^power_t.
    once : bool
        Whether training ends after one epoch.
    by_epoch : EpochSchedule, optional
        Determines the learning rate by the number of the epoch, instead of ``schedule``.
    score_decides : bool
        Whether the score, if there is one, decides when the training stops and which parameters are
        the result. If False, the score is only recorded, and the loss decides.
    """

    patience: float
    schedule: str
    learning_rate: float
    power_t: float
    once: bool = False
    score_decides: bool = True
    by_epoch: EpochSchedule | None = None

    name: ClassVar[str] = "epochs"
    state: ClassVar[type[State]] = EpochState
    keeps_when_interrupted: ClassVar[bool] = True

    def init(self, problem: Training, start: FloatArray | None) -> PassGenerator[EpochState]:
        yield from ()
        assert start is not None
        return problem.scheme.begin(start, self.first_rate)

    @property
    def first_rate(self) -> float:
        """Learning rate of the first epoch."""
        return self.learning_rate if self.by_epoch is None else self.by_epoch.rate(0)

    def step(self, problem: Training, state: EpochState, tol: float) -> PassGenerator[EpochState]:
        try:
            trained = yield from problem.scheme.epoch(state)
        except Diverged as error:
            if self._best(problem, state) is None:
                raise
            return state.diverged(str(error))
        if trained.within:
            return trained
        trained = replace(trained, last_rate=state.learning_rate, slowed=False)
        if problem.score is None:
            trained = trained.judged_by_loss(tol)
        else:
            score, loss = yield from problem.score(trained.parameters)
            if self.score_decides:
                trained = trained.judged_by_score(score, loss, tol)
            else:
                trained = trained.judged_by_loss(tol).with_score(score, loss)
        return self._with_next_rate(trained)

    def answer(self, problem: Training, state: EpochState) -> FloatArray:
        best = self._best(problem, state)
        return state.parameters if best is None else best

    def _best(self, problem: Training, state: EpochState) -> FloatArray | None:
        """Return the parameters with the best score, if the score decides and there is one."""
        decides = problem.score is not None and self.score_decides
        return state.best_parameters if decides else None

    def check(self, problem: Training, state: EpochState) -> None:
        fresh = problem.scheme.begin(state.parameters, self.first_rate)
        if [len(each.moments) for each in state.replicas] != [
            len(each.moments) for each in fresh.replicas
        ]:
            raise ValueError("it has other replicas, or replicas with other moments")
        vectors = [array for each in state.replicas for array in (each.parameters, *each.moments)]
        if any(array.dtype != state.parameters.dtype for array in vectors):
            raise ValueError("its replicas have another dtype than its parameters")
        rows = fresh.order  # these are numbered from 0
        is_permutation = (
            state.order is None
            if rows is None
            else state.order is not None and np.array_equal(np.sort(state.order), rows)
        )
        if not is_permutation or (state.random is None) != (fresh.random is None):
            raise ValueError("its order of the rows is not a permutation of them")

    def message(
        self,
        problem: Training,
        state: EpochState,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        prefix: str,
        advice: str,
    ) -> str:
        return _MESSAGES[status].format(max_iter=max_iter, reason=state.reason)

    def lines(self, state: EpochState, tol: float) -> list[str]:
        """Return what scikit-learn prints after an epoch."""
        if not state.losses:  # private training knows no loss
            return [f"Iteration {state.n_iter}"]
        lines = [f"Iteration {state.n_iter}, loss = {state.value:.8f}"]
        if state.score is not None:
            lines.append(f"Validation score: {state.score:f}")
        by_score = self.score_decides and state.score is not None
        measure = "Validation score" if by_score else "Training loss"
        text = f"{measure} did not improve more than tol={tol:f} for {self.patience} epochs."
        if state.slowed:
            lines.append(f"{text} Setting learning rate to {state.learning_rate:f}")
        elif state.n_not_better > self.patience:
            lines.append(f"{text} Stopping.")
        return lines

    def _with_next_rate(self, state: EpochState) -> EpochState:
        """Set the learning rate of the next epoch, or end the training."""
        rate = state.learning_rate
        if self.schedule == "invscaling":
            rate = self.learning_rate / math.pow(state.n_seen + 1, self.power_t)
        if self.by_epoch is not None:
            rate = self.by_epoch.rate(state.n_epochs)
        status = Status.DONE if self.once else state.status
        if state.n_not_better <= self.patience:
            return replace(state, learning_rate=rate, status=status)
        if self.schedule == "adaptive" and rate > _SMALLEST_RATE:
            return replace(
                state, learning_rate=rate / 5.0, status=status, n_not_better=0, slowed=True
            )
        return replace(state, learning_rate=rate, status=status or Status.CONVERGED)
