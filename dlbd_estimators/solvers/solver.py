"""Base classes of solvers: steps over an explicit state, which request passes and run none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.passes import PassGenerator
from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.status import Status

__all__ = ["BaseProblem", "PassGenerator", "Solver", "State"]


@dataclass(frozen=True, eq=False)
class BaseProblem:
    """A problem to solve; it never changes.

    Parameters
    ----------
    blocks : Blocks
        The data.
    passes_before, bytes_before : int
        Passes over the data, and bytes read, that it took to set up the problem.
    """

    blocks: Blocks = field(repr=False)
    _: KW_ONLY
    passes_before: int = 0
    bytes_before: int = 0

    def share(self, indices: Sequence[int]) -> float:
        """Return the share of the rows that lie in the blocks ``indices``."""
        sizes = self.blocks.sizes
        if sizes is None:
            return len(indices) / self.blocks.n_blocks
        return sum(sizes[index] for index in indices) / sum(sizes)

    def admissible(self, start: FloatArray) -> FloatArray:
        """Return the point nearest to a start from which steps lead to the minimiser."""
        return start


@dataclass(frozen=True)
class State:
    """The state of a solver between two steps; solvers add fields.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        The best point known.
    value : float
        The objective at its last evaluation.
    status : Status or None
        Set when the solver knows that it must stop.
    shortened : bool
        The last step was too long, and its pass only served to shorten it.
    within : bool
        The last step is not complete, and the next call continues it. It is not reported yet.
    rests : bool
        The last step changed nothing. It is neither counted nor reported.
    n_iter : int
        Number of steps so far; the driver counts them.
    n_passes : float
        Number of passes over the data so far; the driver counts them.
    bytes_read : int
        Number of bytes that these passes read.
    """

    shapes: ClassVar[Shapes] = {"parameters": ("n_parameters",)}

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
        """Return whether the state is accurate enough for the user's ``tol``."""
        raise NotImplementedError

    def record(self, seconds: float) -> Record:
        """Return the record of the step that has ended with this state."""
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

    A solver object never changes: everything that changes is in the state, so that a fit can be
    stopped, saved and resumed. A solver does not run passes either. Its steps are generators that
    yield requests and are sent their results.
    """

    #: The name of the solver for users.
    name: ClassVar[str]
    #: The class of its states.
    state: ClassVar[type[State]]
    #: Whether it needs a fixed number of passes, and is as exact as the data's dtype allows.
    direct: ClassVar[bool] = False
    #: Whether its last complete state is a usable model if the user interrupts the fit.
    keeps_when_interrupted: ClassVar[bool] = False

    @abstractmethod
    def init(self, problem: ProblemT, start: FloatArray | None) -> PassGenerator[StateT]:
        """Return the initial state for ``start``, or for the solver's own start if it is None."""

    @abstractmethod
    def step(self, problem: ProblemT, state: StateT, tol: float) -> PassGenerator[StateT]:
        """Make one step; usually one pass over the data."""

    def with_known_facts(self, problem: ProblemT, state: StateT) -> ProblemT:
        """Return a problem with the facts about its data that a state holds."""
        return problem

    def answer(self, problem: ProblemT, state: StateT) -> FloatArray:
        """Return the parameters of a state, as users get them."""
        return state.parameters

    def lengths(self, problem: ProblemT) -> dict[str, int]:
        """Return lengths of axes of a state's arrays, by the names in the classes' ``shapes``."""
        return {}

    def check(self, problem: ProblemT, state: StateT) -> None:
        """Check what only this solver knows about a state that was read from a file.

        Raises
        ------
        ValueError
            It is not a state of this solver for this problem.
        """

    @abstractmethod
    def message(
        self,
        problem: ProblemT,
        state: StateT,
        status: Status,
        *,
        tol: float,
        max_iter: int,
        prefix: str,
        advice: str,
    ) -> str:
        """Return the text of the warning for a fit that ends with this status."""
