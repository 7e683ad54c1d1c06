"""One epoch of mini-batch training: over rows in memory, or over blocks in rounds.

A scheme continues the training from the end of one epoch to the end of the next. Its state is an
:class:`~dlbd_estimators.solvers.stochastic.epoch_state.EpochState`; it keeps nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.passes import PassGenerator, Round
from dlbd_estimators.engine.rounds import LocalTraining, TrainedReplica, TrainingInMemory
from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.learner import Learner
from dlbd_estimators.solvers.random_states import Frozen, freeze, thaw
from dlbd_estimators.solvers.stochastic.epoch_plan import EpochLayout, Fill, plan_epoch
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep


class EpochScheme(ABC):
    """Requests the training of one epoch, or of a part of one."""

    @abstractmethod
    def begin(self, parameters: FloatArray, learning_rate: float) -> EpochState:
        """Return the initial state of the training, without moments of earlier updates."""

    @abstractmethod
    def epoch(self, state: EpochState) -> PassGenerator[EpochState]:
        """Request training on all rows once; return the state after it, not yet judged.

        A scheme may return within an epoch (``EpochState.within``); the next call continues it.

        Raises
        ------
        Diverged
            The loss or a parameter became infinite or NaN.
        """


@dataclass(frozen=True, eq=False)
class InMemory(EpochScheme):
    """All rows are in memory: one replica, with batches from one permutation of all rows.

    Parameters
    ----------
    learner : Learner
        Trains the replica.
    rows : Block
        The rows, in the precision of the training.
    random : tuple or None
        Frozen state of the RandomState that shuffles the rows before each epoch, as scikit-learn
        does; None keeps the order of the rows.
    n_threads : int
        Number of threads that share a batch.
    name : str
        Name of the epochs on the dashboard.
    """

    learner: Learner
    rows: Block
    random: Frozen | None
    n_threads: int
    name: str

    def begin(self, parameters: FloatArray, learning_rate: float) -> EpochState:
        order = None if self.random is None else np.arange(self.rows.n_rows)
        update = self.learner.update
        return EpochState.begin(
            parameters, update, 1, learning_rate, random=self.random, order=order
        )

    def epoch(self, state: EpochState) -> PassGenerator[EpochState]:
        random, order = state.random, state.order
        if random is not None and order is not None:
            # Permute the last order, as scikit-learn does, so that the batches are the same.
            random_state, permutation = thaw(random), np.arange(self.rows.n_rows)
            random_state.shuffle(permutation)
            random, order = freeze(random_state), order[permutation]
        training = TrainingInMemory(
            state.replicas[0], self.rows, order, state.learning_rate, self.n_threads
        )
        name = f"{self.name}-epoch-{state.n_epochs + 1}"
        [result] = yield Round(training, self.learner, name, n_passes=1.0)
        [total] = result.totals
        if not (isfinite(total) and result.replica.is_finite):
            raise _diverged(state, "")
        return replace(
            state,
            parameters=result.replica.parameters,
            replicas=(result.replica,),
            value=total / result.n_rows,
            random=random,
            order=order,
            n_epochs=state.n_epochs + 1,
            n_seen=state.n_seen + result.n_rows,
            n_rounds=1,
        )


@dataclass(frozen=True, eq=False)
class InRounds(EpochScheme):
    """Blocks are read when they are needed, by replicas that are synchronised after each round.

    Parameters
    ----------
    learner : Learner
        Trains a replica.
    blocks : Blocks
        The data; the sizes of the blocks must be known.
    shape : EpochLayout
        How an epoch is divided into rounds.
    outer : OuterStep
        Combines the replicas after a round; a single replica is not changed.
    seed : int
        Seed of the order of blocks and rows.
    shuffle : bool
        If False, blocks and rows are used in the order in which they are stored.
    name : str
        Name of the rounds on the dashboard.
    """

    learner: Learner
    blocks: Blocks
    shape: EpochLayout
    outer: OuterStep
    seed: int
    shuffle: bool
    name: str

    def begin(self, parameters: FloatArray, learning_rate: float) -> EpochState:
        update = self.learner.update
        return EpochState.begin(parameters, update, self.shape.n_replicas, learning_rate)

    def epoch(self, state: EpochState) -> PassGenerator[EpochState]:
        seed = (self.seed, state.n_epochs)
        rounds, before = _planned(self.blocks.n_blocks, self.shape, seed if self.shuffle else None)
        number, total, n_rows = state.rounds_made, state.total, state.trained
        n_fills = before[number]
        trainings = tuple(
            LocalTraining(
                i,
                state.replicas[i],
                self.blocks,
                part,
                [(*seed, i, n_fills[i] + j) for j in range(len(part))] if self.shuffle else None,
                state.learning_rate,
            )
            for i, part in enumerate(rounds[number])
            if part
        )
        name = f"{self.name}-epoch-{state.n_epochs + 1}-round-{number + 1}"
        results = yield Round(trainings, self.learner, name, n_passes=0.0 if number else 1.0)
        for result in results:
            for fill_total in result.totals:  # the sum must not depend on where rounds end
                total += fill_total
            n_rows += result.n_rows
        if not (isfinite(total) and all(result.replica.is_finite for result in results)):
            raise _diverged(state, f", round {number + 1} of {len(rounds)}")
        state = self._synchronised(state, trainings, results)
        if number + 1 < len(rounds):
            return replace(state, within=True, rounds_made=number + 1, trained=n_rows, total=total)
        return replace(
            state,
            value=total / n_rows,
            n_epochs=state.n_epochs + 1,
            n_seen=state.n_seen + n_rows,
            n_rounds=len(rounds),
            within=False,
            rounds_made=0,
            trained=0,
            total=0.0,
        )

    def _synchronised(
        self,
        state: EpochState,
        trainings: Sequence[LocalTraining],
        results: Sequence[TrainedReplica],
    ) -> EpochState:
        replicas = list(state.replicas)
        for training, result in zip(trainings, results, strict=True):
            replicas[training.number] = result.replica
        if len(replicas) == 1 or not any(result.n_rows for result in results):
            return replace(state, parameters=replicas[0].parameters, replicas=tuple(replicas))
        parameters, velocity = self.outer(
            state.parameters,
            state.velocity,
            [result.replica.parameters for result in results],
            [result.n_rows for result in results],
        )
        synchronised = tuple(replace(replica, parameters=parameters) for replica in replicas)
        return replace(state, parameters=parameters, velocity=velocity, replicas=synchronised)


@lru_cache(maxsize=4)
def _planned(
    n_blocks: int, shape: EpochLayout, seed: tuple[int, int] | None
) -> tuple[list[list[tuple[Fill, ...]]], list[list[int]]]:
    """Plan an epoch; return the fills of each round and replica, and the numbers of earlier fills.

    The plan is cached, because each round of the epoch needs it.
    """
    rounds = plan_epoch(n_blocks, shape, None if seed is None else np.random.default_rng(seed))
    # Fills are counted over the whole epoch, so their order does not depend on the rounds.
    before = [[0] * shape.n_replicas]
    for fills in rounds:
        before.append([n + len(part) for n, part in zip(before[-1], fills, strict=True)])
    return rounds, before


def _diverged(state: EpochState, where: Any) -> Diverged:
    rate = state.learning_rate
    return Diverged(
        f"Training diverged in epoch {state.n_epochs + 1}{where}: the loss or a parameter is "
        f"no longer finite. Try learning_rate_init={min(rate / 10, 0.01):g} instead of {rate:g}, "
        f"and scale the columns of X (and y, in a regression) to unit variance."
    )
