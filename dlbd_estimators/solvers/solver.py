"""What every solver is: steps over an explicit state, which ask for passes and run none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.passes import Asks
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.status import Status

__all__ = ["Asks", "BaseProblem", "Solver", "State"]


@dataclass(frozen=True, eq=False)
class BaseProblem:
    """What is to be solved: it never changes.

    Parameters
    ----------
    blocks : Blocks
        The data.
    passes_before, bytes_before : int
        Readings of the data, and bytes, that it took to set it up.
    """

    blocks: Blocks = field(repr=False)
    _: KW_ONLY
    passes_before: int = 0
    bytes_before: int = 0

    def share(self, indices: Sequence[int]) -> float:
        """Share of the rows that lie in some blocks."""
        sizes = self.blocks.sizes
        if sizes is None:
            return len(indices) / self.blocks.n_blocks
        return sum(sizes[index] for index in indices) / sum(sizes)

    def admissible(self, start: FloatArray) -> FloatArray:
        """Return the point nearest a start from which steps lead to the minimiser."""
        return start


@dataclass(frozen=True)
class State:
    """Where a solver stands between two steps; solvers add fields.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        The best point known.
    value : float
        The objective where it was last evaluated.
    status : Status or None
        Set when the solver knows that it must stop.
    shortened : bool
        The last step was found too long, and no more came of the pass than a shorter one.
    within : bool
        The last step was made in part, and the next one goes on with it: nobody hears of it yet.
    rests : bool
        The last step begun came to nothing: it is not counted, and nobody hears of it.
    n_iter : int
        Steps until now, which the driver counts.
    n_passes : float
        Passes over the data until now, which it counts too.
    bytes_read : int
        What they read.
    """

    parameters: FloatArray
    value: float = np.inf
    status: Status | None = None
    shortened: bool = False
    within: bool = False
    rests: bool = False
    n_iter: int = 0
    n_passes: float = 0.0
    bytes_read: int = 0

    def meets(self, tol: float) -> bool:
        """Tell whether this is exact enough for the user."""
        raise NotImplementedError

    def record(self, seconds: float) -> Record:
        """Return the record of the step that has ended here."""
        return Record(
            iteration=self.n_iter,
            n_passes=self.n_passes,
            loss=self.value,
            seconds=seconds,
            bytes_read=self.bytes_read,
        )


ProblemT = TypeVar("ProblemT", bound=BaseProblem)
StateT = TypeVar("StateT", bound=State)


class Solver(ABC, Generic[ProblemT, StateT]):
    """A method that solves a kind of problem, one step after the other.

    A solver keeps nothing: all that changes is in its state, so that a fit can be stopped, saved
    and resumed. Nor does it run anything: its steps are generators that yield what they need to be
    run, and are sent what that brings.
    """

    #: The name users ask for.
    name: ClassVar[str]
    #: The class of its states.
    state: ClassVar[type[State]]
    #: Solves in a fixed number of passes, as well as the rounding of the data's dtype allows.
    direct: ClassVar[bool] = False
    #: Whether what it had before the user interrupted it is an answer.
    keeps_when_interrupted: ClassVar[bool] = False

    @abstractmethod
    def init(self, problem: ProblemT, start: FloatArray | None) -> Asks[StateT]:
        """Prepare the first step from ``start``, or from nothing."""

    @abstractmethod
    def step(self, problem: ProblemT, state: StateT, tol: float) -> Asks[StateT]:
        """Make one step; usually one pass over the data."""

    def posed(self, problem: ProblemT, state: StateT) -> ProblemT:
        """Return a problem with what a state knows of its data."""
        return problem

    def answer(self, problem: ProblemT, state: StateT) -> FloatArray:
        """Return the parameters that a state stands for, in the user's terms."""
        return state.parameters

    @abstractmethod
    def message(
        self,
        problem: ProblemT,
        state: StateT,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        opening: str,
        advice: str,
    ) -> str:
        """Return the warning for a fit that ends with this status."""
