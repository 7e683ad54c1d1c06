"""The parameter ``checkpoint``: a fit is written to files after each step, and goes on from there.

What is written is the solver's state, the records of the steps, and the fingerprint of the fit
(:mod:`dlbd_estimators.base.fingerprint`). A fit that finds a checkpoint of another fit is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from dlbd_estimators.base.fingerprint import (
    Fingerprint,
    differences,
    of_data,
    of_parameters,
    text_of,
)
from dlbd_estimators.base.parameters import refused
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.exceptions import CheckpointDamaged, CheckpointMismatch
from dlbd_estimators.solvers.fit import Fit
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import Frozen, freeze, set_to, thaw
from dlbd_estimators.solvers.saving import Arrays, from_facts, to_facts
from dlbd_estimators.solvers.solver import State

#: Stands in a path for what tells one fit from another.
_OWN = "{}"
#: Of differences in a message.
_MOST_LINES = 20


@dataclass(frozen=True)
class Found:
    """A checkpoint, as it was read.

    Attributes
    ----------
    fingerprint : dict of str to str
        Of its fit.
    solver : str
        The solver's name.
    random : tuple or None
        Where a RandomState stood as the fit began, where it was not made of a seed.
    records : tuple of Record
        Of the steps made.
    state, arrays : object, list of ndarray
        Of the solver; what it has to be, the solver says.
    """

    fingerprint: Fingerprint
    solver: str
    random: Frozen | None
    records: tuple[Record, ...]
    state: Any
    arrays: Arrays

    @classmethod
    def of(cls, facts: Any, arrays: Arrays) -> Found:
        """Check what a file holds.

        Raises
        ------
        CheckpointDamaged
            It holds something else.
        """
        try:
            fingerprint = {str(label): str(text) for label, text in facts["fingerprint"].items()}
            random = from_facts(facts["random"], arrays, Frozen | None)
            records = from_facts(facts["records"], arrays, tuple[Record, ...])
            return cls(fingerprint, str(facts["solver"]), random, records, facts["state"], arrays)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointDamaged(f"it is not what a fit writes ({error})") from error


class FitCheckpoint:
    """Where a fit is saved, and goes on from: an estimator's parameter ``checkpoint``.

    Parameters
    ----------
    estimator : estimator or None
        What is fitted. Without the parameter, or where that is None, nothing here does anything.

    Raises
    ------
    InvalidParameter
        It is no path.
    ValueError
        Another parameter does not go with it.
    """

    def __init__(self, estimator: Any) -> None:
        given = getattr(estimator, "checkpoint", None)
        self._url = None if given is None else _checked(estimator, given)
        self._fingerprint = {} if self._url is None else of_parameters(estimator)
        self._most_steps = getattr(estimator, "max_iter", None)
        self._folder: CheckpointFolder | None = None
        self._found: Found | None = None
        self._random: Frozen | None = None
        self._number = 0
        self._failures: list[str] = []  # which parts share: the user is warned once

    @property
    def solver(self) -> str | None:
        """Name of the solver of the fit that goes on; None where one has yet to be chosen."""
        return None if self._found is None else self._found.solver

    def open(self, executor: Executor, blocks: Blocks) -> None:
        """Look at the data, and for the last whole checkpoint of this fit.

        Raises
        ------
        CheckpointMismatch
            It is of another fit.
        CheckpointDamaged
            There are some, and none is whole.

        Warns
        -----
        UserWarning
            The last one is damaged, and the fit goes on from the one before.
        """
        if self._url is None or self._folder is not None:
            return
        self._fingerprint |= of_data(executor, blocks)
        text = "\n".join(f"{label}: {each}" for label, each in self._fingerprint.items())
        # Candidates of a search that differ in max_iter alone are fits of their own.
        text += f"\nmax_iter: {text_of(self._most_steps)}"
        own = sha256(text.encode()).hexdigest()[:16]
        self._folder = CheckpointFolder(self._url.replace(_OWN, own))
        self._found = self._last_whole(self._folder)
        self._compare(self._fingerprint)

    def also(self, label: str, value: NDArray[Any]) -> None:
        """Add to the fingerprint what a pass over all rows has brought.

        Raises
        ------
        CheckpointMismatch
            It was something else as the checkpoint was written.
        """
        if self._folder is not None:
            self._fingerprint[label] = text_of(value)
            self._compare({label: self._fingerprint[label]})

    def part(self, name: str, seed: int) -> FitCheckpoint:
        """Return the checkpoint of one of several fits that this one is made of.

        Parameters
        ----------
        name : str
            Name of the part: that of a folder inside this checkpoint's folder.
        seed : int
            Seed that chooses samples.

        Raises
        ------
        CheckpointMismatch
            The saved part belongs to another fit.
        CheckpointDamaged
            No saved checkpoint of the part is as it was written.
        """
        one = copy(self)
        if self._folder is not None:
            one._fingerprint = {**self._fingerprint, "part": name, "seed": str(seed)}
            one._folder = CheckpointFolder(f"{self._folder.url}/{name}")
            one._found, one._number = None, 0
            one._found = one._last_whole(one._folder)
            one._compare(one._fingerprint)
        return one

    def random_state(self, given: Any) -> np.random.RandomState:
        """Return the RandomState of a fit, as it stood where the fit began.

        Parameters
        ----------
        given : int, RandomState or None
            The estimator's parameter. A RandomState of the user's is set back to where it stood.

        Raises
        ------
        ValueError
            It is no number, and fits that are told apart by their parameters would share a folder.
        """
        random_state: np.random.RandomState = check_random_state(given)
        if self._folder is None or isinstance(given, int | np.integer):
            return random_state
        if self._url is not None and _OWN in self._url:
            raise ValueError(
                f"A checkpoint with {{}} in its path tells fits apart by their parameters and "
                f"data. With random_state={given!r}, fits with the same parameters and data still "
                f"differ. Give random_state a number."
            )
        before = None if self._found is None else self._found.random
        if before is None:
            self._random = freeze(random_state)
            return random_state
        self._random = before
        if not isinstance(given, np.random.RandomState):  # NumPy's own is not ours to set
            return thaw(before)
        set_to(random_state, before)
        return random_state

    def resume(self, fit: Fit, n_parameters: int, records: list[Record]) -> Fit:
        """Return a fit that goes on from the checkpoint, if there is one, and writes the next.

        Parameters
        ----------
        fit : Fit
            From its start.
        n_parameters : int
            Of the model.
        records : list of Record
            Those of the steps made are added to it.

        Raises
        ------
        CheckpointMismatch
            The fit may make fewer steps than were made.
        CheckpointDamaged
            What it holds is no state of the solver.
        """
        if self._folder is None:
            return fit
        fit = replace(fit, save=lambda *now: self._save(fit.solver.name, *now))
        if self._found is None:
            return fit
        state, earlier = self._state(fit, n_parameters), self._found.records
        if state.n_iter > fit.max_iter:
            self._refuse([f"max_iter: {state.n_iter} steps made there, {fit.max_iter} here"])
        self._found = None  # its arrays are the state's now
        records.extend(earlier)
        clock, before = fit.clock, earlier[-1].seconds if earlier else 0.0
        return replace(fit, start=state, earlier=earlier, clock=lambda: before + clock())

    def _state(self, fit: Fit, n_parameters: int) -> State:
        found = self._found
        assert found is not None
        try:
            state: State = from_facts(found.state, found.arrays, fit.solver.state)
            if found.solver != fit.solver.name or state.parameters.shape != (n_parameters,):
                raise ValueError(f"it is of {found.solver} and {state.parameters.shape} parameters")
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointDamaged(
                f"The checkpoint in {self._where} is no state of {fit.solver.name}: {error}. "
                f"Delete it to begin anew."
            ) from error
        return state

    def _save(self, solver: str, state: State, records: Sequence[Record], finished: bool) -> None:
        """Write a checkpoint; where that fails, the fit goes on."""
        assert self._folder is not None
        arrays: Arrays = []
        facts = {
            "fingerprint": self._fingerprint,
            "solver": solver,
            "n_iter": state.n_iter,
            "finished": finished,
            "random": to_facts(self._random, arrays),
            "records": to_facts(tuple(records), arrays),
            "state": to_facts(state, arrays),
        }
        try:
            self._folder.write(self._number + 1, facts, arrays)
            self._number += 1
        except Exception as error:  # noqa: BLE001  (whatever a store says, the fit goes on)
            if not self._failures:
                warn_user(
                    f"The checkpoint in {self._where} could not be written after step "
                    f"{state.n_iter} ({type(error).__name__}: {error}). The fit goes on; until "
                    f"one can be written, it would be resumed from the last one before."
                )
            self._failures.append(str(error))

    def _last_whole(self, folder: CheckpointFolder) -> Found | None:
        damaged = []
        for number in folder.numbers():
            try:
                found = Found.of(*folder.read(number))
            except CheckpointDamaged as error:
                damaged.append(f"number {number}: {error}")
                continue
            self._number = number
            if damaged:
                warn_user(
                    f"A checkpoint in {self._where} is damaged, and the fit goes on from the one "
                    f"before, number {number} ({'; '.join(damaged)})."
                )
            return found
        if damaged:
            raise CheckpointDamaged(
                f"No checkpoint in {self._where} is whole ({'; '.join(damaged)}). Delete them to "
                f"begin anew."
            )
        return None

    def _compare(self, here: Fingerprint) -> None:
        if self._found is not None and (lines := differences(self._found.fingerprint, here)):
            self._refuse(lines)

    def _refuse(self, lines: Sequence[str]) -> None:
        said = (
            f"The checkpoint in {self._where} is of another fit. Give this one another checkpoint "
            f"(in a search or an ensemble, one with {{}} in its path), or delete that one. What "
            f"differs:"
        )
        more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        raise CheckpointMismatch("\n  ".join((said, *lines[:_MOST_LINES], *more)))

    @property
    def _where(self) -> str:
        return repr(self._url if self._folder is None else self._folder.url)


def _checked(estimator: Any, given: Any) -> str:
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise refused(estimator, "checkpoint", "a str", "a path", "None")
    if getattr(estimator, "warm_start", False):
        raise ValueError(
            "warm_start=True begins where the last fit ended, but checkpoint goes on with one that "
            "has not ended. Leave out one of them."
        )
    return os.path.expanduser(os.fsdecode(given))
