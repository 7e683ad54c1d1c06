"""The state of training between two epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.learner import Replica
from dlbd_estimators.kernels.updates import Update
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import Frozen
from dlbd_estimators.solvers.solver import State
from dlbd_estimators.solvers.status import Status


@dataclass(frozen=True, kw_only=True)
class EpochState(State):
    """The state of mini-batch training: adds the replicas, the order of rows and the results.

    ``parameters`` are the synchronised parameters of the replicas, and ``value`` is the mean
    objective of the last epoch's batches. If later fits continue the training, counts and histories
    begin with the first fit, but ``n_iter`` begins again.

    Attributes
    ----------
    replicas : tuple of Replica
        The replicas, each with the moments of its update rule.
    velocity : ndarray of shape (size,)
        Velocity of the outer step.
    learning_rate, last_rate : float
        Learning rate of the next epoch, and of the last epoch.
    n_epochs, n_seen : int
        Number of epochs, and of rows trained on (each row counts once in each epoch).
    n_rounds : int
        Number of rounds of the last epoch.
    rounds_made, trained, total : int, int, float
        Progress in an epoch that is not complete: the number of its rounds so far, the number of
        rows that they trained on, and the sum of the objective over these rows.
    random, order : tuple, ndarray of shape (n_rows,)
        For rows in memory: the frozen state of their RandomState, and the last order of the rows.
        None if the rows are not shuffled, or are in blocks.
    losses, scores : tuple of float
        Losses of all epochs, and scores of the epochs that were scored on validation rows.
    score, validation_loss : float or None
        Score and mean loss of the last epoch on validation rows; None without such rows.
    best_loss, best_score : float
        The smallest loss and the largest score.
    best_parameters : ndarray or None
        Parameters with the best score.
    n_not_better : int
        Number of the last consecutive epochs without improvement.
    slowed : bool
        Whether the learning rate was divided after the last epoch, because too many consecutive
        epochs were without improvement.
    reason : str
        Why the training diverged, if it did and the fit ends with an earlier model.
    """

    shapes: ClassVar[Shapes] = {
        "velocity": ("n_parameters",), "order": ("n_shuffled",),
        "best_parameters": ("n_parameters",),
    }  # fmt: skip

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
    validation_loss: float | None = None
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
        """Return an initial state, without moments of earlier updates."""
        return cls(
            parameters,
            replicas=tuple(Replica.at(parameters, update) for _ in range(n_replicas)),
            velocity=np.zeros(len(parameters)),
            learning_rate=learning_rate,
            **more,
        )

    def continued_from(self, last: EpochState) -> EpochState:
        """Return this state as the start of a fit that continues from the last state of another."""
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
        """Return this state with the optimiser's moments of another, if these fit its replicas."""
        compatible = len(last.replicas) == len(self.replicas) and all(
            len(mine.moments) == len(other.moments)
            for mine, other in zip(self.replicas, last.replicas, strict=True)
        )
        if not compatible:
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

    def kept(self) -> EpochState:
        """Return what a fitted estimator keeps, to continue: each call draws new orders of rows."""
        return replace(self, random=None, order=None)

    def meets(self, tol: float) -> bool:
        return self.status is Status.CONVERGED

    def record(self, seconds: float) -> Record:
        return replace(
            super().record(seconds),
            iteration=len(self.losses),
            learning_rate=self.last_rate,
            rounds=self.n_rounds,
            validation_score=self.score,
            validation_loss=self.validation_loss,
        )

    def judged_by_loss(self, tol: float) -> EpochState:
        """Return the state after an epoch that is judged by its loss."""
        worse = self.value > self.best_loss - tol
        return replace(
            self,
            losses=(*self.losses, self.value),
            score=None,
            validation_loss=None,
            n_not_better=self.n_not_better + 1 if worse else 0,
            best_loss=min(self.value, self.best_loss),
        )

    def judged_by_score(self, score: float, validation_loss: float, tol: float) -> EpochState:
        """Return the state after an epoch that is judged by its score."""
        worse = score < self.best_score + tol
        return replace(
            self.with_score(score, validation_loss),
            losses=(*self.losses, self.value),
            n_not_better=self.n_not_better + 1 if worse else 0,
        )

    def with_score(self, score: float, validation_loss: float) -> EpochState:
        """Return the state after an epoch with its score, and the best one so far."""
        best = score > self.best_score
        return replace(
            self,
            scores=(*self.scores, score),
            score=score,
            validation_loss=validation_loss,
            best_score=score if best else self.best_score,
            best_parameters=self.parameters if best else self.best_parameters,
        )

    def diverged(self, reason: str) -> EpochState:
        """Return the state after an epoch that diverged, with the model from before this epoch."""
        return replace(
            self,
            value=np.nan,
            losses=(*self.losses, np.nan),
            scores=(*self.scores, np.nan),
            score=np.nan,
            validation_loss=np.nan,
            last_rate=self.learning_rate,
            n_rounds=0,
            within=False,
            rounds_made=0,
            trained=0,
            total=0.0,
            status=Status.DIVERGED,
            reason=reason,
        )
