"""What every solver is: steps over an explicit state, which ask for passes and run none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np

from dlbd_estimators.engine.passes import Asks
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.evaluation import NOTHING_KNOWN, Known
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.status import Status

__all__ = ["Asks", "Solver", "State"]


@dataclass(frozen=True)
class State:
    """Where a solver stands between two steps; solvers add fields.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        The best point known, in the packed order, for features as the objective centres them.
    value : float
        F where the last pass evaluated it.
    error : float
        The largest error of a coefficient at ``parameters``, in standard units of its column and
        relative to the largest coefficient in these units; see
        :mod:`~dlbd_estimators.solvers.coefficient_error`.
    error_is : str
        ``"bound"``, or ``"estimate"``, which the true error may be above.
    gradient_norm : float
        Largest absolute entry of the gradient in the last pass.
    step : float
        Length of the last step, relative to the solver's natural one.
    status : Status or None
        Set when the solver knows that it must stop.
    shortened : bool
        The last step was found too long, and no more came of the pass than a shorter one.
    dependent : tuple of int
        Columns that are nearly dependent on one another, where the solver lost its way for it.
    known : Known
        What passes have taught of the data.
    n_iter : int
        Steps until now, which the driver counts.
    n_passes : float
        Passes over the data until now, which it counts too.
    bytes_read : int
        What they read.
    """

    parameters: FloatArray
    value: float = np.inf
    error: float = np.inf
    error_is: str = "estimate"
    gradient_norm: float = np.inf
    step: float = 0.0
    status: Status | None = None
    shortened: bool = False
    dependent: tuple[int, ...] = ()
    known: Known = NOTHING_KNOWN
    n_iter: int = 0
    n_passes: float = 0.0
    bytes_read: int = 0


StateT = TypeVar("StateT", bound=State)


class Solver(ABC, Generic[StateT]):
    """A method to minimise an objective, one step after the other.

    A solver keeps nothing: all that changes is in its state, so that a fit can be stopped, saved
    and resumed. Nor does it run anything: its steps are generators that yield the passes they
    need, and are sent the partials.
    """

    #: The name users ask for.
    name: ClassVar[str]
    #: The class of its states.
    state: ClassVar[type[State]]
    #: What the objective must provide.
    needs: ClassVar[frozenset[str]]
    #: Solves in a fixed number of passes, as well as the rounding of the data's dtype allows.
    direct: ClassVar[bool] = False

    @abstractmethod
    def init(self, problem: Problem, start: FloatArray | None) -> Asks[StateT]:
        """Prepare the first step from ``start``, or from nothing."""

    @abstractmethod
    def step(self, problem: Problem, state: StateT, tol: float) -> Asks[StateT]:
        """Make one step; usually one pass over the data."""
