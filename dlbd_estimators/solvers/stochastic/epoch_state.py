"""The state of training between two epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.learner import Replica
from dlbd_estimators.kernels.updates import Update
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import Frozen
from dlbd_estimators.solvers.solver import State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True, kw_only=True)
class EpochState(State):
    """Adds the replicas, the order of rows, and how epoch after epoch has done.

    ``parameters`` are where the replicas agree, and ``value`` is the mean objective of the last
    epoch's batches. What goes on in later fits counts from the first of them; ``n_iter`` does not.

    Attributes
    ----------
    replicas : tuple of Replica
        Each with its own moments.
    velocity : ndarray of shape (size,)
        Of the outer step.
    learning_rate, last_rate : float
        Of the next epoch, and of the last.
    n_epochs, n_seen : int
        Epochs made; rows trained on, counted each time.
    n_rounds : int
        Of the last epoch.
    rounds_made, trained, total : int, int, float
        Of an epoch that is under way: its rounds until now, the rows that they have trained on, and
        the sum of these rows' objective.
    random, order : tuple, ndarray of shape (n_rows,)
        Of rows in memory: where their RandomState stands, and the order that it has given them.
        None where they are not put in another order, or lie in blocks.
    losses, scores : tuple of float
        By epoch; scores only of those that were scored on rows held out.
    score : float or None
        The last epoch's.
    best_loss, best_score : float
        The least, the largest.
    best_parameters : ndarray or None
        Those of the best score.
    n_not_better : int
        Epochs in a row.
    slowed : bool
        The learning rate was divided after the last epoch, which was one too many of these.
    reason : str
        Why training diverged, where it did and there is an earlier model to end with.
    """

    replicas: tuple[Replica, ...]
    velocity: FloatArray
    learning_rate: float
    last_rate: float = 0.0
    n_epochs: int = 0
    n_seen: int = 0
    n_rounds: int = 0
    rounds_made: int = 0
    trained: int = 0
    total: float = 0.0
    random: Frozen | None = None
    order: NDArray[np.intp] | None = None
    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    score: float | None = None
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_parameters: FloatArray | None = None
    n_not_better: int = 0
    slowed: bool = False
    reason: str = ""

    @classmethod
    def begin(
        cls,
        parameters: FloatArray,
        update: Update,
        n_replicas: int,
        learning_rate: float,
        **more: Any,
    ) -> EpochState:
        """Begin with no memory of earlier updates."""
        return cls(
            parameters,
            replicas=tuple(Replica.at(parameters, update) for _ in range(n_replicas)),
            velocity=np.zeros(len(parameters)),
            learning_rate=learning_rate,
            **more,
        )

    def after(self, last: EpochState) -> EpochState:
        """Return this as the begin of a fit that goes on from the model of another."""
        return replace(
            self,
            n_passes=last.n_passes,
            bytes_read=last.bytes_read,
            n_seen=last.n_seen,
            losses=last.losses,
            scores=last.scores,
            best_loss=last.best_loss,
            best_score=last.best_score,
            best_parameters=last.best_parameters,
            n_not_better=last.n_not_better,
        )

    def with_optimiser_of(self, last: EpochState) -> EpochState:
        """Return this with the optimiser's memory of another that has as many replicas."""
        same = len(last.replicas) == len(self.replicas) and all(
            len(mine.moments) == len(other.moments)
            for mine, other in zip(self.replicas, last.replicas, strict=True)
        )
        if not same:
            return replace(self, n_epochs=last.n_epochs)
        dtype = self.parameters.dtype
        return replace(
            self,
            replicas=tuple(
                replace(
                    replica,
                    parameters=self.parameters,
                    moments=tuple(m.astype(dtype, copy=False) for m in replica.moments),
                )
                for replica in last.replicas
            ),
            velocity=last.velocity,
            learning_rate=last.learning_rate,
            n_epochs=last.n_epochs,
        )

    def meets(self, tol: float) -> bool:
        return self.status is Status.CONVERGED

    def record(self, seconds: float) -> Record:
        return replace(
            super().record(seconds),
            iteration=len(self.losses),
            learning_rate=self.last_rate,
            rounds=self.n_rounds,
            validation_score=self.score,
        )

    def judged_by_loss(self, tol: float) -> EpochState:
        """Return this after an epoch without a score, which is judged by its loss."""
        worse = self.value > self.best_loss - tol
        return replace(
            self,
            losses=(*self.losses, self.value),
            score=None,
            n_not_better=self.n_not_better + 1 if worse else 0,
            best_loss=min(self.value, self.best_loss),
        )

    def judged_by_score(self, score: float, tol: float) -> EpochState:
        """Return this after an epoch with a score, which is what it is judged by."""
        best = score > self.best_score
        return replace(
            self,
            losses=(*self.losses, self.value),
            scores=(*self.scores, score),
            score=score,
            n_not_better=self.n_not_better + 1 if score < self.best_score + tol else 0,
            best_score=score if best else self.best_score,
            best_parameters=self.parameters if best else self.best_parameters,
        )

    def diverged(self, reason: str) -> EpochState:
        """Return this after an epoch that came to nothing: the model is that before it."""
        return replace(
            self,
            value=np.nan,
            losses=(*self.losses, np.nan),
            scores=(*self.scores, np.nan),
            score=np.nan,
            last_rate=self.learning_rate,
            n_rounds=0,
            within=False,
            rounds_made=0,
            trained=0,
            total=0.0,
            status=Status.DIVERGED,
            reason=reason,
        )
