"""Distinguish an overflow, which the parameters of a fit cause, from an error in the data."""

from __future__ import annotations

from dlbd_estimators.exceptions import BadBlock, NonFiniteValues


def is_overflow(error: Exception) -> bool:
    """Return whether a pass failed because numbers computed from finite data are not finite."""
    return isinstance(error, BadBlock) and not isinstance(error, NonFiniteValues)
