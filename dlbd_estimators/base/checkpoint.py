"""The parameter ``checkpoint``: a fit saves its state after each step, and can resume from it.

A checkpoint holds the solver's state, the records of the steps, and the fingerprint of the fit
(:mod:`dlbd_estimators.base.fingerprint`). The checkpoint of another fit is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from dlbd_estimators import exceptions
from dlbd_estimators.base.fingerprint import (
    Fingerprint,
    differences,
    of_data,
    of_parameters,
    text_of,
)
from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.base.saved_checkpoint import NOT_A_STATE, SavedCheckpoint
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.engine.credentials import without_credentials
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.exceptions import CheckpointDamaged, CheckpointMismatch
from dlbd_estimators.solvers.fit import Fit
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import Frozen, freeze, set_to, thaw
from dlbd_estimators.solvers.saving import Arrays, to_facts
from dlbd_estimators.solvers.solver import State

_OWN = "{}"  #: Placeholder in a path, for a hash of the fit's parameters and data.
#: Largest number of differences that an error message lists.
_MOST_LINES = 20


class FitCheckpoint:
    """Saves a fit after each step and resumes it, as the parameter ``checkpoint`` requests.

    Parameters
    ----------
    estimator : estimator or None
        The estimator that is fitted. If it has no ``checkpoint`` or that is None, this object
        neither writes nor reads anything.

    Raises
    ------
    InvalidParameter
        ``checkpoint`` is not a path.
    ValueError
        Another parameter cannot be combined with ``checkpoint``.
    """

    def __init__(self, estimator: Any) -> None:
        given = getattr(estimator, "checkpoint", None)
        self._url = None if given is None else _checked(estimator, given)
        self._fingerprint = {} if self._url is None else of_parameters(estimator)
        self._most_steps = getattr(estimator, "max_iter", None)
        self._folder: CheckpointFolder | None = None
        self._found: SavedCheckpoint | None = None
        self._random: Frozen | None = None
        self._number = 0
        self._resumed = False
        self._failures: list[str] = []  # shared with all parts: the user is warned once

    @property
    def solver(self) -> str | None:
        """Name of the solver in the checkpoint; None if there is no checkpoint to resume from."""
        return None if self._found is None else self._found.solver

    def open(self, executor: Executor, blocks: Blocks, validation: Blocks | None = None) -> None:
        """Take the fingerprint of the data, and read the last intact checkpoint of this fit.

        Raises
        ------
        CheckpointMismatch
            The checkpoint belongs to another fit.
        CheckpointDamaged
            There are checkpoints, but all are damaged.

        Warns
        -----
        UserWarning
            The last checkpoint is damaged, and the fit resumes from an earlier one.
        """
        if self._url is None or self._folder is not None:
            return
        self._fingerprint |= of_data(executor, blocks)
        if validation is not None:
            of_rows = of_data(executor, validation)
            self._fingerprint |= {f"validation data, {key}": of_rows[key] for key in of_rows}
        text = "\n".join(f"{label}: {entry}" for label, entry in self._fingerprint.items())
        # The fingerprint has no max_iter, but candidates of a search that differ only in max_iter
        # need different folders.
        text += f"\nmax_iter: {text_of(self._most_steps)}"
        digest = sha256(text.encode()).hexdigest()[:16]
        self._folder = CheckpointFolder(self._url.replace(_OWN, digest))
        self._found = self._last_intact(self._folder)
        self._compare(self._fingerprint)

    def add_to_fingerprint(self, label: str, value: NDArray[Any]) -> None:
        """Add to the fingerprint a value that a pass over all rows has computed.

        Raises
        ------
        CheckpointMismatch
            The checkpoint was written with another value.
        """
        if self._folder is not None:
            self._fingerprint[label] = text_of(value)
            self._compare({label: self._fingerprint[label]})

    def part(self, name: str, seed: int) -> FitCheckpoint:
        """Return the checkpoint of one of the fits that this fit consists of.

        Parameters
        ----------
        name : str
            Name of the part, and of its folder inside this checkpoint's folder.
        seed : int
            Seed by which samples are chosen.

        Raises
        ------
        CheckpointMismatch
            The saved checkpoint of the part belongs to another fit.
        CheckpointDamaged
            All saved checkpoints of the part are damaged.
        """
        checkpoint = copy(self)
        if self._folder is not None:
            checkpoint._fingerprint = {**self._fingerprint, "part": name, "seed": str(seed)}
            checkpoint._folder = CheckpointFolder(f"{self._folder.url}/{name}")
            checkpoint._found, checkpoint._number = None, 0
            checkpoint._found = checkpoint._last_intact(checkpoint._folder)
            checkpoint._compare(checkpoint._fingerprint)
        return checkpoint

    def random_state(self, given: Any) -> np.random.RandomState:
        """Return the RandomState of a fit, in its state at the start of the fit.

        Parameters
        ----------
        given : int, RandomState or None
            The parameter ``random_state``. If the fit resumes, a RandomState object is set back to
            its state at the start of the saved fit.

        Raises
        ------
        ValueError
            ``random_state`` is not an integer, and the path contains ``{}``: fits that differ in
            their random numbers only would share a folder.
        """
        random_state: np.random.RandomState = check_random_state(given)
        if self._folder is None or isinstance(given, int | np.integer):
            return random_state
        if self._url is not None and _OWN in self._url:
            raise ValueError(
                f"A checkpoint with {{}} in its path has one folder for each combination of "
                f"parameters and data. With random_state={given!r}, fits with the same parameters "
                f"and data still differ. Set random_state to an integer."
            )
        before = None if self._found is None else self._found.random
        if before is None:
            self._random = freeze(random_state)
            return random_state
        self._random = before
        # None is NumPy's global RandomState, whose state must not change here.
        if not isinstance(given, np.random.RandomState):
            return thaw(before)
        set_to(random_state, before)
        return random_state

    def resume(self, fit: Fit, n_parameters: int, records: list[Record]) -> Fit:
        """Return a fit that resumes from the checkpoint, if there is one, and writes new ones.

        Parameters
        ----------
        fit : Fit
            The fit from its start.
        n_parameters : int
            Number of parameters of the model.
        records : list of Record
            The records of the completed steps are appended to this list.

        Raises
        ------
        CheckpointMismatch
            ``max_iter`` is smaller than the number of completed steps.
        CheckpointDamaged
            The checkpoint does not hold a state of the solver.
        """
        if self._folder is None:
            return fit
        fit = replace(fit, save=lambda *arguments: self._save(fit.solver.name, *arguments))
        if self._found is None:
            return fit
        state, earlier = self._state(fit, n_parameters), self._found.records
        if state.n_iter > fit.max_iter:
            self._refuse(
                [f"max_iter: {state.n_iter} steps in the checkpoint, {fit.max_iter} in this fit"]
            )
        self._found, self._resumed = None, True  # the state owns its arrays from here on
        records.extend(earlier)
        clock, before = fit.clock, earlier[-1].seconds if earlier else 0.0
        return replace(
            fit,
            start=state,
            earlier=earlier,
            clock=lambda: before + clock(),
            on_error=lambda error: self._error_after(fit, error),
        )

    def _state(self, fit: Fit, n_parameters: int) -> State:
        assert self._found is not None
        try:
            return self._found.state_of(fit, n_parameters)
        except NOT_A_STATE as error:
            raise self._not_a_state(fit, error) from error

    def _not_a_state(self, fit: Fit, error: Exception) -> CheckpointDamaged:
        return CheckpointDamaged(
            f"The checkpoint in {self._where} does not hold a state of the solver "
            f"{fit.solver.name}: {error}. Delete the checkpoint to start again."
        )

    def _error_after(self, fit: Fit, error: Exception) -> Exception:
        """Return the error to raise if a solver fails after it continued from a checkpoint.

        A solver does not fail on its own states, so the state is not one that it has written.
        """
        if not isinstance(error, NOT_A_STATE) or type(error).__module__ == exceptions.__name__:
            return error
        named = self._not_a_state(fit, error)
        named.__cause__ = error
        return named

    @contextmanager
    def checks_results(self, fit: Fit) -> Iterator[None]:
        """Name the checkpoint in errors about the results of a fit that continued from it."""
        try:
            yield
        except Exception as error:
            if self._resumed and (named := self._error_after(fit, error)) is not error:
                raise named from error
            raise

    def _save(self, solver: str, state: State, records: Sequence[Record], finished: bool) -> None:
        """Write a checkpoint; if that fails, warn once and let the fit go on."""
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
        except Exception as error:  # noqa: BLE001  (stores raise all kinds of errors)
            if not self._failures:
                warn_user(
                    f"The checkpoint in {self._where} could not be written after step "
                    f"{state.n_iter} ({type(error).__name__}: {error}). The fit goes on. If it is "
                    f"interrupted before a checkpoint can be written, it resumes from the previous "
                    f"one."
                )
            self._failures.append(str(error))

    def _last_intact(self, folder: CheckpointFolder) -> SavedCheckpoint | None:
        damaged = []
        for number in folder.numbers():
            try:
                found = SavedCheckpoint.of(*folder.read(number))
            except CheckpointDamaged as error:
                damaged.append(f"number {number}: {error}")
                continue
            self._number = number
            if damaged:
                warn_user(
                    f"A checkpoint in {self._where} is damaged. The fit resumes from an earlier "
                    f"one, number {number} ({'; '.join(damaged)})."
                )
            return found
        if damaged:
            raise CheckpointDamaged(
                f"All checkpoints in {self._where} are damaged ({'; '.join(damaged)}). Delete them "
                f"to start again."
            )
        return None

    def _compare(self, current: Fingerprint) -> None:
        if self._found is not None and (lines := differences(self._found.fingerprint, current)):
            self._refuse(lines)

    def _refuse(self, lines: Sequence[str]) -> None:
        message = (
            f"The checkpoint in {self._where} belongs to another fit. Give this fit another path "
            f"(in a search or an ensemble, a path with {{}} in it), or delete the checkpoint. "
            f"Differences:"
        )
        omitted = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
        raise CheckpointMismatch("\n  ".join((message, *lines[:_MOST_LINES], *omitted)))

    @property
    def _where(self) -> str:
        return repr(without_credentials(self._folder.url if self._folder else str(self._url)))


def _checked(estimator: Any, given: Any) -> str:
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise invalid_parameter(estimator, "checkpoint", "a str", "a path", "None")
    if getattr(estimator, "warm_start", False):
        raise ValueError(
            "warm_start=True starts from the result of the last fit, but checkpoint resumes a fit "
            "that has not ended. Leave out one of them."
        )
    return os.path.expanduser(os.fsdecode(given))
