"""The record of one step of a fit, from which ``history_``, events and printed lines are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Fields whose name for users is a Python keyword, so that the field cannot have it.
_NAMES = {"n_passes": "pass"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """One step of a fit, or one epoch. Fields that the method does not have are None.

    Attributes
    ----------
    iteration : int
        Number of the step, from 1.
    n_passes : float
        Passes over the data until the end of the step; users see it as ``pass``.
    loss : float or None
        The objective in the step's last pass; None in private training.
    gradient_norm, error, error_is, step : float or str or None
        Values of a linear model's solver; see
        :class:`~dlbd_estimators.solvers.minimizer.MinimizerState`.
    learning_rate : float or None
        Learning rate of the epoch.
    rounds : int or None
        Number of rounds of the epoch; a network's replicas are synchronised after each.
    seconds : float
        Seconds since the fit began.
    bytes_read : int or None
        Bytes read until the end of the step; None in private training.
    validation_score : float or None
        Score on the validation rows.
    validation_loss : float or None
        Mean loss on the validation rows, without the penalty.
    """

    iteration: int
    n_passes: float
    loss: float | None
    gradient_norm: float | None = None
    error: float | None = None
    error_is: str | None = None
    step: float | None = None
    learning_rate: float | None = None
    rounds: int | None = None
    seconds: float
    bytes_read: int | None
    validation_score: float | None = None
    validation_loss: float | None = None

    def entry(self) -> dict[str, Any]:
        """Return the fields that are not None, by the names that users know."""
        return {
            _NAMES.get(name, name): value for name, value in vars(self).items() if value is not None
        }


def entries(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return a history as users get it: one dictionary for each step."""
    return [record.entry() for record in records]
