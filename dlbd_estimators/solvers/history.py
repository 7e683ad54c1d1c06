"""What a fit records of each step: ``history_``, events and printed lines are made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

#: Its name for users is a keyword of Python.
_NAMES = {"n_passes": "pass"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """One step of a fit, or one epoch; None is what the method does not have.

    Attributes
    ----------
    iteration : int
        Number of the step, from 1.
    n_passes : float
        Passes over the data by its end; ``pass`` to users.
    loss : float
        The objective in the step's last pass.
    gradient_norm, error, error_is, step : float or str or None
        Of a linear model's solver: see :class:`~dlbd_estimators.solvers.minimizer.MinimizerState`.
    learning_rate : float or None
        Of an epoch.
    rounds : int or None
        In which replicas met.
    seconds : float
        Since the fit began.
    bytes_read : int
        By the step's end.
    validation_score : float or None
        On rows held out.
    """

    iteration: int
    n_passes: float
    loss: float
    gradient_norm: float | None = None
    error: float | None = None
    error_is: str | None = None
    step: float | None = None
    learning_rate: float | None = None
    rounds: int | None = None
    seconds: float
    bytes_read: int
    validation_score: float | None = None

    def entry(self) -> dict[str, Any]:
        """Return the fields that have a value, by the names that users know."""
        held = {_NAMES.get(each.name, each.name): getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in held.items() if value is not None}


def entries(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return a history as users get it: one entry a step."""
    return [record.entry() for record in records]
