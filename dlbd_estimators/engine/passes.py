"""Requests as plain data: a pass over all rows, or a round of a network's replicas.

Whoever needs to know more before it can go on is a generator: it yields a request, is sent the
result of it, and in the end returns a result of its own. It never runs anything, so that its caller
may run what several ask for in one reading of the blocks, or stop and go on another day.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.kernels.kernel import PassKernel

if TYPE_CHECKING:
    # Of networks; a linear model's process, and its workers, do without.
    from dlbd_estimators.engine.rounds import LocalTraining, TrainingInMemory
    from dlbd_estimators.kernels.learner import Learner

Partial = TypeVar("Partial")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Pass(Generic[Partial]):
    """One kernel at one set of parameters, over all blocks or some; brings the partial.

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
        Of the matrices in its partial: what passes of one sweep share their room by.
    blocks : BlockSequence or None
        Other blocks than those of the problem: rows that were held out of it, whose bytes are not
        counted among those that were read to solve it.
    n_passes : float or None
        What it is counted as; None is the share of the rows that it reads.
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
    """The training of a network's replicas between two synchronisations; brings these replicas.

    Attributes
    ----------
    trainings : tuple of LocalTraining, or TrainingInMemory
        One a replica; or that of a replica which is alone with rows in this process's memory.
    learner : Learner
        Trains a replica.
    name : str
        What a person reads on the dashboard.
    n_passes : float
        What it is counted as: an epoch is one pass, counted with its first round.
    """

    trainings: tuple[LocalTraining, ...] | TrainingInMemory
    learner: Learner
    name: str
    n_passes: float


#: A generator that yields requests, is sent their results, and returns its own result.
Asks: TypeAlias = Generator[Pass[Any] | Round, Any, Found]
