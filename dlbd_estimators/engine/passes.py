"""Requests as plain data: a pass over all rows, or a round of a network's replicas.

A function that needs the result of a pass is a generator: it yields the request, is sent its
result, and in the end returns a result of its own. It runs nothing itself. So its caller can serve
the requests of several generators by one reading of the blocks, or stop and continue later.
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
    """One kernel at one set of parameters, over all blocks or some. Its result is the partial.

    Attributes
    ----------
    kernel : PassKernel
        What to compute.
    parameters : object
        Passed to the kernel with each block.
    name : str
        What a person reads on the dashboard; ``{}`` stands for the number of the pass.
    indices : tuple of int or None
        Blocks of a sample; None is all.
    n_entries : int
        Number of entries of the matrices in its partial. They decide which passes fit in one sweep.
    blocks : BlockSequence or None
        Blocks to read instead of those of the problem: its held-out rows. Their bytes do not count
        as bytes that were read to solve the problem.
    n_passes : float or None
        How many passes it counts as; None is the share of the rows that it reads.
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
    """The training of a network's replicas between two synchronisations. Its result: the replicas.

    Attributes
    ----------
    trainings : tuple of LocalTraining, or TrainingInMemory
        One for each replica; or the training of a single replica on rows in this process's memory.
    learner : Learner
        Trains a replica.
    name : str
        What a person reads on the dashboard.
    n_passes : float
        How many passes it counts as. An epoch is one pass, counted with its first round.
    """

    trainings: tuple[LocalTraining, ...] | TrainingInMemory
    learner: Learner
    name: str
    n_passes: float


#: A generator that yields requests, is sent their results, and returns its own result.
Asks: TypeAlias = Generator[Pass[Any] | Round, Any, Found]
