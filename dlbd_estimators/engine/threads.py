"""Passes on threads of this process: for arrays in memory, or if there is no cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import dask.config
from dask.system import CPU_COUNT

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.bundle import Bundle, BundleResult, run_bundle
from dlbd_estimators.engine.cache import block_cache
from dlbd_estimators.engine.executor import Executor, bundle_depth, cache_share
from dlbd_estimators.engine.memory import Memory, process_memory
from dlbd_estimators.engine.pass_progress import current_pass
from dlbd_estimators.engine.reduction_tree import nodes
from dlbd_estimators.kernels.kernel import PassKernel

if TYPE_CHECKING:
    from dlbd_estimators.engine.rounds import LocalTraining, TrainedReplica
    from dlbd_estimators.kernels.learner import Learner

Partial = TypeVar("Partial")
Result = TypeVar("Result")


class ThreadExecutor(Executor):
    """Runs bundles on a pool of threads.

    Parameters
    ----------
    n_threads : int, optional
        Number of threads. The default is that of Dask's own threaded scheduler: the configuration
        ``num_workers``, or else the number of CPUs that this process may use.
    """

    def __init__(self, n_threads: int | None = None) -> None:
        super().__init__()
        self._n_threads = n_threads or dask.config.get("num_workers", None) or CPU_COUNT

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._n_threads, "pass")

    def close(self) -> None:
        if "_pool" in vars(self):  # a fit of a single block needs no threads
            self._pool.shutdown(wait=True, cancel_futures=True)
        block_cache.drop(self._fit)

    def memory(self) -> tuple[int, int] | None:
        return self._memory.limit, self._n_threads

    @cached_property
    def _memory(self) -> Memory:
        # Measured once for the whole fit: the blocks that a fit caches must not reduce its budget.
        return process_memory()

    def _run(
        self,
        kernel: PassKernel[Any, Partial],
        parameters: Any,
        blocks: BlockSequence,
        indices: Sequence[int],
        name: str,
        features: bool,
    ) -> dict[tuple[int, int], BundleResult[Partial]]:
        budget = 0 if blocks.in_memory else int(cache_share() * self._memory.available)
        ranges = nodes(len(indices), bundle_depth(self._n_threads))
        bundles = [
            Bundle(self._fit, blocks, indices[start:stop], start, stop, features, budget)
            for start, stop in ranges
        ]
        # Threads of the pool do not know the pass of this thread.
        run = partial(run_bundle, counter=current_pass())
        if len(bundles) == 1:  # a small problem does not pay for the transfer to a thread
            return {ranges[0]: run(bundles[0], kernel, parameters)}
        pending = [self._pool.submit(run, bundle, kernel, parameters) for bundle in bundles]
        return dict(zip(ranges, _results(pending), strict=True))

    def capacity(self) -> tuple[int, int]:
        return 0, self._n_threads

    def _run_round(
        self, trainings: Sequence[LocalTraining], learner: Learner, name: str
    ) -> list[TrainedReplica]:
        from dlbd_estimators.engine.rounds import train_replica  # only networks need it

        n_threads = max(1, self._n_threads // len(trainings))
        if len(trainings) == 1:
            return [train_replica(trainings[0], learner, n_threads)]
        return _results(
            [
                self._pool.submit(train_replica, training, learner, n_threads)
                for training in trainings
            ]
        )


def _results(pending: Sequence[Future[Result]]) -> list[Result]:
    try:
        return [task.result() for task in pending]
    finally:
        for task in pending:
            task.cancel()
