"""Requests as plain data: a pass over all rows, or a round of a network's replicas.

A function that needs the result of a pass is a generator: it yields the request, is sent its
result, and in the end returns a result of its own. It runs nothing itself. So its caller can serve
the requests of several generators with one reading of the blocks, or stop and continue later.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.kernels.kernel import PassKernel

if TYPE_CHECKING:
    # Only networks need these; fits of linear models do not import them.
    from dlbd_estimators.engine.rounds import LocalTraining, TrainingInMemory
    from dlbd_estimators.kernels.learner import Learner

Partial = TypeVar("Partial")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Pass(Generic[Partial]):
    """A request to evaluate a kernel on all or some blocks. Its result is the partial.

    Attributes
    ----------
    kernel : PassKernel
        What to compute.
    parameters : object
        Passed to the kernel with each block.
    name : str
        Name of the pass on Dask's dashboard; ``{}`` stands for the number of the pass.
    indices : tuple of int or None
        Numbers of the blocks of a sample; None means all blocks.
    n_entries : int
        Number of entries of the matrices in its partial. It determines which passes fit in one
        sweep.
    blocks : BlockSequence or None
        Blocks of held-out rows, which are read instead of the blocks of the problem. Their bytes
        do not count as bytes that were read to solve the problem.
    n_passes : float or None
        Number of passes that it counts as; None means the share of the rows that it reads.
    """

    kernel: PassKernel[Any, Partial]
    parameters: Any
    name: str
    indices: tuple[int, ...] | None = None
    n_entries: int = 0
    blocks: BlockSequence | None = None
    n_passes: float | None = None


@dataclass(frozen=True)
class Round:
    """A request to train a network's replicas until the next synchronisation.

    Its result is the trained replicas.

    Attributes
    ----------
    trainings : tuple of LocalTraining, or TrainingInMemory
        One for each replica; or the training of a single replica on rows in this process's memory.
    learner : Learner
        Trains a replica.
    name : str
        Name of the round on Dask's dashboard.
    n_passes : float
        Number of passes that it counts as. An epoch is one pass, counted with its first round.
    """

    trainings: tuple[LocalTraining, ...] | TrainingInMemory
    learner: Learner
    name: str
    n_passes: float


#: A generator that yields requests, is sent their results, and returns its own result.
PassGenerator: TypeAlias = Generator[Pass[Any] | Round, Any, Found]
