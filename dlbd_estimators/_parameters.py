"""Checks of estimators' parameters, with messages that say what to pass instead."""

from __future__ import annotations

import numbers
from collections.abc import Collection
from typing import Any

import numpy as np


def check_number(
    estimator: Any,
    name: str,
    *,
    low: float,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
    infinite: bool = False,
) -> None:
    """Check that a parameter is a real number from ``low`` to ``high``.

    Raises
    ------
    ValueError
        It is not.
    """
    value = getattr(estimator, name)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (
        number
        and (value > low if open_low else value >= low)
        and (value < high if open_high else value <= high)
        and (infinite or np.isfinite(value))
    ):
        bound = f"{'greater than' if open_low else 'at least'} {low:g}"
        if np.isfinite(high):
            bound += f" and {'less than' if open_high else 'at most'} {high:g}"
        raise _wrong(estimator, name, f"a number {bound}")


def check_integer(estimator: Any, name: str, *, low: int, other: Any = None) -> None:
    """Check that a parameter is an integer of at least ``low``, or else equal to ``other``.

    Raises
    ------
    ValueError
        It is not.
    """
    value = getattr(estimator, name)
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if integer and int(value) >= low:
        return
    if other is None or isinstance(value, np.ndarray) or value != other:
        alternative = "" if other is None else f", or {other!r}"
        raise _wrong(estimator, name, f"an integer of at least {low}{alternative}")


def check_choice(estimator: Any, name: str, choices: Collection[str]) -> None:
    """Check that a parameter is one of some strings.

    Raises
    ------
    ValueError
        It is not.
    """
    value = getattr(estimator, name)
    if not (isinstance(value, str) and value in choices):
        raise _wrong(estimator, name, f"one of {', '.join(map(repr, choices))}")


def check_flag(estimator: Any, name: str) -> None:
    """Check that a parameter is True or False.

    Raises
    ------
    ValueError
        It is not.
    """
    if not isinstance(getattr(estimator, name), bool | np.bool_):
        raise _wrong(estimator, name, "True or False")


def _wrong(estimator: Any, name: str, expected: str) -> ValueError:
    return ValueError(
        f"The {name!r} parameter of {type(estimator).__name__} must be {expected}, but is "
        f"{getattr(estimator, name)!r}."
    )
