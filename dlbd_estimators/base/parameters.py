"""Check parameters of estimators; the error messages follow those of scikit-learn."""

from __future__ import annotations

import numbers
from collections.abc import Collection
from typing import Any

import numpy as np

from dlbd_estimators.exceptions import InvalidParameter

_BOOLEAN = ("an instance of 'bool'", "an instance of 'numpy.bool'")


def check_number(
    estimator: Any,
    name: str,
    *,
    low: float,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
    infinite: bool = False,
    none: bool = False,
) -> None:
    """Check that a parameter is a real number from ``low`` to ``high``, or None if allowed.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    value = getattr(estimator, name)
    if none and value is None:
        return
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (
        number
        and (value > low if open_low else value >= low)
        and (value < high if open_high else value <= high)
        and (infinite or np.isfinite(value))
    ):
        ends_open = open_high or (np.isinf(high) and not infinite)
        left, right = "(" if open_low else "[", ")" if ends_open else "]"
        allowed = f"a float in the range {left}{float(low)}, {float(high)}{right}"
        raise invalid_parameter(estimator, name, allowed, *(["None"] if none else []))


def check_integer(
    estimator: Any, name: str, *, low: int, other: Any = None, none: bool = False
) -> None:
    """Check that a parameter is an integer of at least ``low``, ``other``, or None if allowed.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    value = getattr(estimator, name)
    if none and value is None:
        return
    if _is_integer(value) and int(value) >= low:
        return
    if other is None or isinstance(value, np.ndarray) or value != other:
        allowed = [_integers(low)]
        if isinstance(other, str):
            allowed.insert(0, f"a str among {{{other!r}}}")
        elif other is not None:
            allowed.append(f"a float among {{{other}}}")
        raise invalid_parameter(estimator, name, *allowed, *(["None"] if none else []))


def check_choice(
    estimator: Any, name: str, choices: Collection[str], *, none: bool = False
) -> None:
    """Check that a parameter is one of the strings ``choices``, or None if allowed.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    value = getattr(estimator, name)
    if none and value is None:
        return
    if not (isinstance(value, str) and value in choices):
        allowed = f"a str among {{{', '.join(map(repr, choices))}}}"
        raise invalid_parameter(estimator, name, allowed, *(["None"] if none else []))


def check_flag(estimator: Any, name: str) -> None:
    """Check that a parameter is True or False.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    if not isinstance(getattr(estimator, name), bool | np.bool_):
        raise invalid_parameter(estimator, name, *_BOOLEAN)


def check_verbose(estimator: Any) -> None:
    """Check that ``verbose`` is an integer of at least 0, True or False.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    value = estimator.verbose
    if not (isinstance(value, bool | np.bool_) or (_is_integer(value) and value >= 0)):
        raise invalid_parameter(estimator, "verbose", _integers(0), *_BOOLEAN)


def check_n_jobs(estimator: Any) -> None:
    """Check that ``n_jobs`` is None or an integer.

    Raises
    ------
    InvalidParameter
        The parameter has another value.
    """
    value = estimator.n_jobs
    if value is not None and not _is_integer(value):
        raise invalid_parameter(estimator, "n_jobs", "None", "an instance of 'int'")


def invalid_parameter(estimator: Any, name: str, *allowed: str) -> InvalidParameter:
    """Return the error for a parameter; the texts in ``allowed`` describe its valid values."""
    *most, last = allowed
    expected = f"{', '.join(most)} or {last}" if most else last
    return InvalidParameter(
        f"The {name!r} parameter of {type(estimator).__name__} must be {expected}. Got "
        f"{getattr(estimator, name)!r} instead."
    )


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _integers(low: int) -> str:
    return f"an int in the range [{low}, inf)"
