"""How an epoch of mini-batch training is run: over rows in memory, or over blocks in rounds.

A course takes training from the end of one epoch to the end of the next. All that it knows in
between stands in :class:`Training`, a frozen record of arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.rounds import Turn, TurnResult
from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.learner import Learner, Replica
from dlbd_estimators.kernels.updates import Update
from dlbd_estimators.solvers.stochastic.epoch_plan import Shape, plan_epoch
from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep


@dataclass(frozen=True)
class Training:
    """Where training stands between two epochs.

    Attributes
    ----------
    parameters : ndarray of shape (size,)
        The model: where the replicas agree.
    replicas : tuple of Replica
        Each with its own moments.
    velocity : ndarray of shape (size,)
        Of the outer step.
    learning_rate : float
        Of the next epoch.
    n_epochs : int
        Epochs made.
    n_seen : int
        Rows trained on, counted each time.
    """

    parameters: FloatArray
    replicas: tuple[Replica, ...]
    velocity: FloatArray
    learning_rate: float
    n_epochs: int = 0
    n_seen: int = 0

    @classmethod
    def begin(
        cls, parameters: FloatArray, update: Update, n_replicas: int, learning_rate: float
    ) -> Training:
        """Begin with no memory of earlier updates."""
        replicas = tuple(Replica.at(parameters, update) for _ in range(n_replicas))
        return cls(parameters, replicas, np.zeros(len(parameters)), learning_rate)


class Epoch(NamedTuple):
    """What an epoch cost and gave: mean objective of its batches, rows, rounds, bytes."""

    loss: float
    n_rows: int
    n_rounds: int
    bytes_read: int


class Course(ABC):
    """Runs one epoch after the other."""

    @abstractmethod
    def epoch(self, training: Training) -> tuple[Training, Epoch]:
        """Train on all rows once.

        Raises
        ------
        Diverged
            The loss or a parameter became infinite or NaN.
        """


class InMemory(Course):
    """All rows at hand: one replica, batches from one permutation of all rows.

    Parameters
    ----------
    learner : Learner
        Trains the replica.
    rows : Block
        Of the precision that is trained in.
    random_state : RandomState or None
        Puts the rows in another order each epoch, as scikit-learn does; None leaves them.
    n_threads : int
        Threads that share a batch.
    """

    def __init__(
        self,
        learner: Learner,
        rows: Block,
        random_state: np.random.RandomState | None,
        n_threads: int,
    ) -> None:
        self._learner = learner
        self._rows = rows
        self._random_state = random_state
        self._n_threads = n_threads
        self._order = None if random_state is None else np.arange(rows.n_rows)

    def epoch(self, training: Training) -> tuple[Training, Epoch]:
        if self._random_state is not None:
            assert self._order is not None
            # scikit-learn's way, so that its batches are ours: a permutation of the last order.
            permutation = np.arange(self._rows.n_rows)
            self._random_state.shuffle(permutation)
            self._order = self._order[permutation]
        with single_threaded_blas:
            replica, total = self._learner.learn(
                training.replicas[0].copy(),
                self._rows,
                self._order,
                training.learning_rate,
                self._n_threads,
            )
        if not (isfinite(total) and replica.is_finite):
            raise _diverged(training, "")
        n_rows = self._rows.n_rows
        trained = replace(
            training,
            parameters=replica.parameters,
            replicas=(replica,),
            n_epochs=training.n_epochs + 1,
            n_seen=training.n_seen + n_rows,
        )
        return trained, Epoch(total / n_rows, n_rows, 1, 0)


class InRounds(Course):
    """Blocks that are read as they are needed, by replicas that meet after each round.

    Parameters
    ----------
    executor : Executor
        Runs the replicas' turns.
    learner : Learner
        Trains a replica.
    blocks : Blocks
        The data, of known sizes.
    shape : Shape
        How an epoch is cut.
    outer : OuterStep
        How replicas come together; one alone goes on as it is.
    seed : int
        Of the order of blocks and rows.
    shuffle : bool
        False takes blocks and rows as they are stored.
    name : str
        What a person reads on the dashboard.
    """

    def __init__(
        self,
        executor: Executor,
        learner: Learner,
        blocks: Blocks,
        shape: Shape,
        outer: OuterStep,
        seed: int,
        *,
        shuffle: bool,
        name: str,
    ) -> None:
        self._executor = executor
        self._learner = learner
        self._blocks = blocks
        self._shape = shape
        self._outer = outer
        self._seed = seed
        self._shuffle = shuffle
        self._name = name

    def epoch(self, training: Training) -> tuple[Training, Epoch]:
        seed = (self._seed, training.n_epochs)
        rng = np.random.default_rng(seed) if self._shuffle else None
        rounds = plan_epoch(self._blocks.n_blocks, self._shape, rng)
        total, n_rows, bytes_read = 0.0, 0, 0
        # Counted over the epoch: where rounds end changes no order.
        n_fills = [0] * self._shape.n_replicas
        for number, fills in enumerate(rounds):
            turns = [
                Turn(
                    i,
                    training.replicas[i],
                    self._blocks,
                    part,
                    [(*seed, i, n_fills[i] + j) for j in range(len(part))]
                    if self._shuffle
                    else None,
                    training.learning_rate,
                )
                for i, part in enumerate(fills)
                if part
            ]
            n_fills = [n + len(part) for n, part in zip(n_fills, fills, strict=True)]
            name = f"{self._name}-epoch-{training.n_epochs + 1}-round-{number + 1}"
            results = self._executor.run_turns(turns, self._learner, name=name)
            for result in results:
                for part in result.totals:  # one by one: where rounds end changes no sum either
                    total += part
                n_rows += result.n_rows
                bytes_read += result.cost.bytes_read
            if not (isfinite(total) and all(result.replica.is_finite for result in results)):
                raise _diverged(training, f", round {number + 1} of {len(rounds)}")
            training = self._synchronised(training, turns, results)
        trained = replace(training, n_epochs=training.n_epochs + 1, n_seen=training.n_seen + n_rows)
        return trained, Epoch(total / n_rows, n_rows, len(rounds), bytes_read)

    def _synchronised(
        self, training: Training, turns: Sequence[Turn], results: Sequence[TurnResult]
    ) -> Training:
        replicas = list(training.replicas)
        for turn, result in zip(turns, results, strict=True):
            replicas[turn.number] = result.replica
        if len(replicas) == 1 or not any(result.n_rows for result in results):
            return replace(training, parameters=replicas[0].parameters, replicas=tuple(replicas))
        parameters, velocity = self._outer(
            training.parameters,
            training.velocity,
            [result.replica.parameters for result in results],
            [result.n_rows for result in results],
        )
        together = tuple(replace(replica, parameters=parameters) for replica in replicas)
        return replace(training, parameters=parameters, velocity=velocity, replicas=together)


def _diverged(training: Training, where: Any) -> Diverged:
    rate = training.learning_rate
    return Diverged(
        f"Training diverged in epoch {training.n_epochs + 1}{where}: the loss or a parameter is "
        f"no longer finite. Try learning_rate_init={min(rate / 10, 0.01):g} instead of {rate:g}, "
        f"and scale the columns of X (and y, in a regression) to unit variance."
    )
