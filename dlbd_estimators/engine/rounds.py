"""The training of one replica in a round: the work of one task, in a thread or on a worker.

The rows of a few blocks at a time are brought together in a buffer and shuffled there
(CorgiPile: Xu et al., arXiv 2206.05830). The buffer has two halves: while the rows of one are
trained on, the other is filled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.bundle import timed_load
from dlbd_estimators.engine.cost import Cost
from dlbd_estimators.engine.read_ahead import load_ahead, load_between
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.learner import Learner, Replica


@dataclass(frozen=True)
class LocalTraining:
    """The training of one replica in a round.

    Parameters
    ----------
    number : int
        Number of the replica.
    replica : Replica
        The replica at the start of the round. It is not changed.
    blocks : Blocks
        Reads the blocks of ``fills``; their sizes are known.
    fills : sequence of sequence of int
        For each fill of the buffer, in order, the numbers of the blocks whose rows it contains.
    seeds : sequence of sequence of int, or None
        For each fill, the seed of the random order of its rows; None keeps the stored order.
    learning_rate : float
        Learning rate of the update rule.
    readers : dict of int to Blocks
        By block number, readers that this worker has kept of blocks that ``blocks`` cannot read.
    """

    number: int
    replica: Replica
    blocks: Blocks
    fills: Sequence[Sequence[int]]
    seeds: Sequence[Sequence[int]] | None
    learning_rate: float
    readers: dict[int, Blocks] = field(default_factory=dict)

    @property
    def indices(self) -> list[int]:
        """All blocks that the replica reads, in order."""
        return [index for fill in self.fills for index in fill]

    def fill_rows(self, fill: Sequence[int]) -> int:
        """Return the number of rows of a fill."""
        rows = [self.reader(index).rows(index) for index in fill]
        return sum(len(rows_of_block) for rows_of_block in rows if rows_of_block is not None)

    def reader(self, index: int) -> Blocks:
        """Return the blocks that can read a block."""
        return self.readers.get(index, self.blocks)


@dataclass(frozen=True)
class TrainingInMemory:
    """The training of a single replica in one epoch, on rows in the memory of this process.

    Parameters
    ----------
    replica : Replica
        The replica at the start of the epoch. It is not changed.
    rows : Block
        Checked rows, in the precision of the training.
    order : ndarray of shape (n_rows,) or None
        Positions of the rows in the order in which batches take them; None means the stored order.
    learning_rate : float
        Learning rate of the update rule.
    n_threads : int
        Number of threads that share a batch. It does not change the bits of the result.
    """

    replica: Replica
    rows: Block
    order: NDArray[np.intp] | None
    learning_rate: float
    n_threads: int

    def run(self, learner: Learner) -> TrainedReplica:
        """Train the replica, in this process."""
        began = time.perf_counter()
        with single_threaded_blas:
            replica, total = learner.learn(
                self.replica.copy(), self.rows, self.order, self.learning_rate, self.n_threads
            )
        seconds = (time.perf_counter() - began) * self.n_threads
        return TrainedReplica(replica, [total], self.rows.n_rows, Cost(n_tasks=1, seconds=seconds))


@dataclass
class TrainedReplica:
    """A replica after its training, and what the training cost.

    Attributes
    ----------
    replica : Replica
        The replica after the training.
    totals : list of float
        For each fill, the sum over its rows of the objective of their batch. If training diverged,
        the last value is not finite.
    n_rows : int
        Number of rows in the training.
    cost : Cost
        Cost of the task.
    """

    replica: Replica
    totals: list[float]
    n_rows: int
    cost: Cost


def train_replica(training: LocalTraining, learner: Learner, n_threads: int = 1) -> TrainedReplica:
    """Train a replica on its blocks; ``n_threads`` does not change the bits of the result."""
    began = time.perf_counter()
    buffer = _Buffer(training)

    def train(take: Callable[[], Block]) -> TrainedReplica:
        result = TrainedReplica(training.replica.copy(), [], 0, Cost())
        with np.errstate(all="ignore"):
            for number in range(len(training.fills)):
                rows = take()
                order = None
                if training.seeds is not None:
                    order = np.random.default_rng(training.seeds[number]).permutation(rows.n_rows)
                result.replica, total = learner.learn(
                    result.replica,
                    rows,
                    order,
                    training.learning_rate,
                    n_threads,
                    training.number,
                )
                result.totals.append(total)
                result.n_rows += rows.n_rows
                if not isfinite(total):
                    break
        return result

    stream = load_between if training.blocks.in_memory else load_ahead
    with single_threaded_blas:
        result, waited = stream(buffer.fill, len(training.fills), train)
    seconds = (time.perf_counter() - began) * n_threads
    result.cost = replace(buffer.cost, n_tasks=1, seconds=seconds, waited=waited * n_threads)
    return result


class _Buffer:
    """A shuffle buffer of two halves, used alternately: each holds the rows of one fill."""

    def __init__(self, training: LocalTraining) -> None:
        self._training = training
        self._n_rows = max(training.fill_rows(fill) for fill in training.fills)
        self._halves: list[_Half | None] = [None, None]
        #: Cost of all fills until now.
        self.cost = Cost()

    def fill(self, number: int) -> Block:
        """Return the rows of a fill. The load of the fill after the next overwrites them."""
        start = 0
        half = None
        for index in self._training.fills[number]:
            blocks = self._training.reader(index)
            block, loading = timed_load(blocks, index)
            self.cost += replace(loading, n_blocks=1)
            blocks.check_features(index, block)
            half = self._halves[number % 2]
            if half is None:
                half = self._halves[number % 2] = _Half(block, self._n_rows, blocks.dtype)
            half.put(start, block)
            start += block.n_rows
        assert half is not None
        return half.rows(start)


class _Half:
    """Memory for the rows of one fill, in the precision of the training."""

    def __init__(self, like: Block, n_rows: int, dtype: np.dtype[Any]) -> None:
        def room(array: FloatArray) -> NDArray[Any]:
            return np.empty((n_rows, *array.shape[1:]), dtype)

        self._X, self._y = room(like.X), room(like.y)
        self._weight = None if like.weight is None else room(like.weight)

    def put(self, start: int, block: Block) -> None:
        """Copy the rows of a block."""
        stop = start + block.n_rows
        self._X[start:stop] = block.X
        self._y[start:stop] = block.y
        if self._weight is not None:
            self._weight[start:stop] = block.weight

    def rows(self, n_rows: int) -> Block:
        """Return the first ``n_rows`` rows."""
        weight = None if self._weight is None else self._weight[:n_rows]
        return Block(self._X[:n_rows], self._y[:n_rows], weight)
