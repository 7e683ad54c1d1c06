"""The content of a checkpoint file, and how its parts are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlbd_estimators.base.fingerprint import Fingerprint
from dlbd_estimators.exceptions import CheckpointDamaged
from dlbd_estimators.solvers.fit import Fit
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import Frozen
from dlbd_estimators.solvers.saving import Arrays, from_facts
from dlbd_estimators.solvers.solver import State
from dlbd_estimators.solvers.state_checks import check_state

#: Errors of reading a state from a file with a right checksum that does not hold one, and errors of
#: solvers that continue from values which no solver writes.
NOT_A_STATE = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class SavedCheckpoint:
    """The content of a checkpoint file.

    Attributes
    ----------
    fingerprint : dict of str to str
        Fingerprint of the fit that wrote the checkpoint.
    solver : str
        Name of the solver.
    random : tuple or None
        State of the RandomState at the start of the fit; None if the fit used an integer seed.
    records : tuple of Record
        Records of the completed steps.
    state, arrays : object, list of ndarray
        State of the solver, as facts and the arrays they refer to. Each solver defines its own.
    """

    fingerprint: Fingerprint
    solver: str
    random: Frozen | None
    records: tuple[Record, ...]
    state: Any
    arrays: Arrays

    @classmethod
    def of(cls, facts: Any, arrays: Arrays) -> SavedCheckpoint:
        """Return the checkpoint that a file holds, after checking its content.

        Raises
        ------
        CheckpointDamaged
            The content is not that of a checkpoint.
        """
        try:
            fingerprint = {str(label): str(text) for label, text in facts["fingerprint"].items()}
            random = from_facts(facts["random"], arrays, Frozen | None)
            records = from_facts(facts["records"], arrays, tuple[Record, ...])
            return cls(fingerprint, str(facts["solver"]), random, records, facts["state"], arrays)
        except NOT_A_STATE as error:
            raise CheckpointDamaged(f"it does not hold what a fit writes ({error})") from error

    def state_of(self, fit: Fit, n_parameters: int) -> State:
        """Return the state of the solver, after checking that the fit can continue from it.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError
            It is not a state of this fit's solver for parameters of this number.
        """
        if self.solver != fit.solver.name:
            raise ValueError(f"it is of {self.solver}")
        state: State = from_facts(self.state, self.arrays, fit.solver.state)
        lengths = {**fit.solver.lengths(fit.problem), "n_parameters": n_parameters}
        check_state(state, self.records, lengths)
        dtype = state.parameters.dtype
        if isinstance(fit.start, np.ndarray) and dtype != fit.start.dtype:
            raise ValueError(f"its parameters are {dtype}, not {fit.start.dtype}")
        fit.solver.check(fit.problem, state)
        return state
