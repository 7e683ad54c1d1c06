"""The base of all executors: it runs a kernel over blocks and joins the partials."""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import dask.config

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.bundle import BundleResult
from dlbd_estimators.engine.cost import Cost, TotalCost, total
from dlbd_estimators.engine.matrices import MatrixRoom, matrix_room
from dlbd_estimators.engine.pass_progress import counted
from dlbd_estimators.engine.passes import Pass, Round
from dlbd_estimators.engine.reduction_tree import join
from dlbd_estimators.exceptions import BlockTooLarge
from dlbd_estimators.kernels.kernel import PassKernel
from dlbd_estimators.kernels.sweep import SweepKernel

if TYPE_CHECKING:
    # Only networks need these; fits of linear models do not import them.
    from dlbd_estimators.engine.rounds import LocalTraining, TrainedReplica
    from dlbd_estimators.kernels.learner import Learner

Partial = TypeVar("Partial")

#: Bundles for each worker thread: enough that a slow thread does not delay the pass.
BUNDLES_PER_THREAD = 4
#: Share of a worker's memory that may hold decoded blocks between passes.
CACHE_SHARE = 0.25
#: Share of a worker's memory for the blocks that its threads are loading or working on.
_WORKING_SHARE = 0.5
#: Share of a worker's memory for the shuffle buffers of networks, which cache no blocks.
_BUFFER_SHARE = 0.7


@dataclass(frozen=True)
class PassResult(Generic[Partial]):
    """The result of a pass or of a round, and its cost.

    Attributes
    ----------
    partial : object
        The kernel's sums over all blocks of the pass, or the trained replicas of a round.
    cost : Cost
        Cost of all its tasks together.
    """

    partial: Partial
    cost: Cost


class Executor(ABC):
    """Runs passes over blocks. It is a context manager: leaving the context frees its caches."""

    def __init__(self) -> None:
        self._fit = uuid.uuid4().hex
        #: The cost of all passes and rounds until now.
        self.spent = TotalCost()

    def map_reduce(
        self,
        kernel: PassKernel[Any, Partial],
        parameters: Any,
        blocks: BlockSequence,
        *,
        name: str,
        indices: Sequence[int] | None = None,
        features: bool = True,
    ) -> PassResult[Partial]:
        """Evaluate ``kernel`` on the blocks ``indices`` (all by default) and join the partials.

        Parameters
        ----------
        kernel : PassKernel
            What to compute.
        parameters : object
            Passed to the kernel inside each task.
        blocks : BlockSequence
            The data.
        name : str
            Name of the pass on Dask's dashboard.
        indices : sequence of int, optional
            Numbers of the blocks of a sample.
        features : bool, default=True
            False reads only targets and weights.

        Raises
        ------
        BlockTooLarge
            Two blocks do not fit in a worker; raised before anything is read.
        """
        chosen = range(blocks.n_blocks) if indices is None else indices
        # Check the size even if this pass reads only targets: a pass that reads X will follow.
        self._check_block_size(blocks)
        began = time.perf_counter()
        with counted(name, len(chosen)):
            results = self._run(kernel, parameters, blocks, chosen, name, features)
        partials = {node: result.partial for node, result in results.items()}
        ran = time.perf_counter()
        partial = join(partials, kernel.combine, 0, len(chosen))
        cost = self._count(began, ran, [result.cost for result in results.values()])
        return PassResult(partial, cost)

    def sweep(self, passes: Sequence[Pass[Any]], blocks: BlockSequence) -> list[PassResult[Any]]:
        """Run passes over the same blocks, reading each block once; return their results.

        The cost of each result is the cost of the whole sweep.

        Parameters
        ----------
        passes : sequence of Pass
            At least one pass; all over the same sample. The name of the first names the sweep.
        blocks : BlockSequence
            The data.

        Raises
        ------
        BlockTooLarge
            Two blocks do not fit in a worker; raised before anything is read.
        """
        name, indices = passes[0].name, passes[0].indices
        if len(passes) == 1:
            kernel, parameters = passes[0].kernel, passes[0].parameters
            return [self.map_reduce(kernel, parameters, blocks, name=name, indices=indices)]
        swept = self.map_reduce(
            SweepKernel(tuple(each.kernel for each in passes)),
            tuple(each.parameters for each in passes),
            blocks,
            name=name,
            indices=indices,
        )
        return [PassResult(partial, swept.cost) for partial in swept.partial]

    def run_round(self, asked: Round) -> PassResult[Sequence[TrainedReplica]]:
        """Train the replicas of a round; return them in order.

        Parameters
        ----------
        asked : Round
            The training of each replica.

        Raises
        ------
        WorkersLost
            The workers that trained a replica died, again and again.
        """
        began = time.perf_counter()
        if isinstance(asked.trainings, tuple):
            results = self._run_round(asked.trainings, asked.learner, asked.name)
        else:
            results = [asked.trainings.run(asked.learner)]
        cost = self._count(began, time.perf_counter(), [result.cost for result in results])
        return PassResult(results, cost)

    def _count(self, began: float, ran: float, costs: Sequence[Cost]) -> Cost:
        cost, done = total(*costs), time.perf_counter()
        thread_seconds_available = (ran - began) * self.capacity()[1]
        self.spent += TotalCost(cost, done - began, done - ran, thread_seconds_available)
        return cost

    def check_buffer(self, nbytes: int, n_replicas: int) -> None:
        """Check that the shuffle buffers fit in memory, before anything is read.

        Parameters
        ----------
        nbytes : int
            Size of one replica's buffer.
        n_replicas : int
            Number of replicas; a thread trains one at a time.

        Raises
        ------
        BlockTooLarge
            A worker has no room for a buffer in each of its threads.
        """
        memory = self.memory()
        if memory is None:
            return
        limit, threads = memory
        at_once = min(threads, n_replicas)
        room = int(limit * _BUFFER_SHARE / at_once)
        if nbytes > room:
            raise BlockTooLarge(
                f"The shuffle buffer of a replica takes {nbytes / 2**20:.0f} MiB, but a worker "
                f"with {limit / 2**20:.0f} MiB of memory that trains {at_once} at a time has "
                f"room for {room / 2**20:.0f} MiB each. Give buffer_size={room} or less; a "
                f"buffer holds at least two blocks, so blocks may have to be smaller: "
                f"X.rechunk({{0: ...}})."
            )

    def matrix_room(self, blocks: BlockSequence) -> MatrixRoom | None:
        """Return the room for matrices that a pass over all blocks sums; None without a limit."""
        memory = self.memory()
        if memory is None:
            return None
        return matrix_room(*memory, blocks.n_blocks, bundle_depth(self.capacity()[1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Free what the executor keeps between passes."""

    @abstractmethod
    def memory(self) -> tuple[int, int] | None:
        """Return the bytes of memory of the smallest worker, and the threads that share them.

        The result is None if no worker has a limit.
        """

    @abstractmethod
    def capacity(self) -> tuple[int, int]:
        """Return the numbers of workers (0 means this process) and threads of the last pass."""

    @abstractmethod
    def _run_round(
        self, trainings: Sequence[LocalTraining], learner: Learner, name: str
    ) -> Sequence[TrainedReplica]:
        """Train the replicas of a round; return them in order."""

    @abstractmethod
    def _run(
        self,
        kernel: PassKernel[Any, Partial],
        parameters: Any,
        blocks: BlockSequence,
        indices: Sequence[int],
        name: str,
        features: bool,
    ) -> dict[tuple[int, int], BundleResult[Partial]]:
        """Run the bundles of a pass; return their results by node of the tree."""

    def _check_block_size(self, blocks: BlockSequence) -> None:
        if blocks.block_nbytes is None or blocks.in_memory:
            return
        memory = self.memory()
        if memory is None:
            return
        limit, threads = memory
        # A thread holds the block it works on and the one being read ahead.
        room = int(limit * _WORKING_SHARE / (2 * threads))
        if blocks.block_nbytes > room:
            rows = max(1, room * max(blocks.sizes or (1,)) // blocks.block_nbytes)
            name = blocks.leader
            # A data set is read by whole blocks: rechunking it would hide their size, but not make
            # less memory necessary. The size of sparse blocks is only known from a data set.
            advice = (
                f"Write a data set of `storage` again, with blocks of at most {rows} rows: "
                f"storage.create_dataset(..., block_nbytes={room})."
            )
            if not blocks.sparse:
                advice = (
                    f"Rechunk {name} to at most {rows} rows a chunk: "
                    f"{name}.rechunk({{0: {rows}}}), or for a Zarr array pass "
                    f"dask.array.from_zarr({name}, chunks=({rows}, -1)). {advice}"
                )
            raise BlockTooLarge(
                f"A block of {name} takes {blocks.block_nbytes / 2**20:.0f} MiB, but a worker with "
                f"{limit / 2**20:.0f} MiB of memory and {threads} thread(s) has room for "
                f"{room / 2**20:.0f} MiB a block (two blocks a thread). {advice}"
            )


def cache_share() -> float:
    """Return the share of memory for cached blocks.

    The Dask configuration ``dlbd-estimators.cache-share`` sets it; 0 switches the cache off.

    Raises
    ------
    ValueError
        The configured value is not a number from 0 to 0.5.
    """
    share = dask.config.get("dlbd-estimators.cache-share", CACHE_SHARE)
    if not isinstance(share, int | float) or not 0 <= share <= 0.5:
        raise ValueError(
            f"The Dask configuration dlbd-estimators.cache-share must be a number from 0 "
            f"to 0.5, but is {share!r}."
        )
    return float(share)


def bundle_depth(n_threads: int) -> int:
    """Return the depth at which the reduction tree is cut into about four bundles a thread."""
    return (BUNDLES_PER_THREAD * max(n_threads, 1) - 1).bit_length()
