"""Check that a state could have been written by a fit, before another fit continues from it.

A checksum only shows that a file did not change. A file that somebody made can have a right
checksum and values that no fit writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isnan
from typing import Any

import numpy as np

from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.solver import State
from dlbd_estimators.solvers.status import Status

#: No counter reaches this number. Above it, a float cannot hold each integer.
_MOST = 2**53
_OR_EMPTY = " or 0"


def check_state(state: State, records: Sequence[Record], lengths: Mapping[str, int]) -> None:
    """Check the values of a state that was read from a file, and the records that belong to it.

    Parameters
    ----------
    state : State
        The state.
    records : sequence of Record
        The records of its steps.
    lengths : mapping of str to int
        Lengths of axes that the problem determines, by the names in the classes' ``shapes``.

    Raises
    ------
    ValueError
        An array has NaN or infinity, or a wrong shape; a counter is negative or impossibly large;
        or the records are not those of the steps.
    """
    check_values(state, lengths)
    _check_records(state, records)


def check_values(state: State, lengths: Mapping[str, int]) -> None:
    """Check the values of a state without records; see :func:`check_state`.

    Parameters
    ----------
    state : State
        The state.
    lengths : mapping of str to int
        Lengths of axes that the problem determines.

    Raises
    ------
    ValueError
        An array has NaN or infinity, or a wrong shape; or a counter is no counter.
    """
    _check_values(state, type(state).__name__, lengths, may_be_nan=state.status is Status.DIVERGED)


def _check_values(value: Any, name: str, lengths: Mapping[str, int], *, may_be_nan: bool) -> None:
    """Check all arrays and numbers inside a value."""
    if is_dataclass(value):
        _check_shapes(value, name, lengths)
        for each in fields(value):
            if each.name != "random":  # its generator has checked it
                entry = getattr(value, each.name)
                _check_values(entry, f"{name}.{each.name}", lengths, may_be_nan=may_be_nan)
    elif isinstance(value, tuple):
        for number, entry in enumerate(value):
            _check_values(entry, f"{name}[{number}]", lengths, may_be_nan=may_be_nan)
    elif isinstance(value, np.ndarray):
        _check_array(value, name)
    elif isinstance(value, int | float | np.number):
        _check_number(value, name, may_be_nan=may_be_nan)


def _check_array(array: np.ndarray[Any, np.dtype[Any]], name: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite")
    if array.dtype.kind in "iu" and array.size and int(array.min()) < 0:
        raise ValueError(f"{name} has a negative index")


def _check_number(value: Any, name: str, *, may_be_nan: bool) -> None:
    if isinstance(value, float | np.floating):
        if isnan(value) and not may_be_nan:
            raise ValueError(f"{name} is NaN")
    elif not 0 <= value < _MOST:
        raise ValueError(f"{name} is {value!r:.30}, which no counter reaches")


def _check_shapes(value: Any, name: str, lengths: Mapping[str, int]) -> None:
    """Check the arrays of a data class by its ``shapes``, if it has any."""
    known = dict(lengths)
    for kind in reversed(type(value).__mro__):
        for field, axes in vars(kind).get("shapes", {}).items():
            for array in _arrays(getattr(value, field)):
                fits = array.ndim == len(axes) and all(
                    length == known.setdefault(axis.removesuffix(_OR_EMPTY), length)
                    or (axis.endswith(_OR_EMPTY) and length == 0)
                    for length, axis in zip(array.shape, axes, strict=True)
                )
                if not fits:
                    wanted = [known.get(axis.removesuffix(_OR_EMPTY), axis) for axis in axes]
                    raise ValueError(f"{name}.{field} has shape {array.shape}, not {wanted}")


def _arrays(value: Any) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Yield an array, or all arrays inside a tuple."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for entry in value:
            yield from _arrays(entry)


def _check_records(state: State, records: Sequence[Record]) -> None:
    if [record.iteration for record in records] != [*range(1, state.n_iter + 1)]:
        raise ValueError(f"its records are not those of {state.n_iter} steps")
    for name in ("n_passes", "seconds", "bytes_read"):
        values = [getattr(record, name) for record in records]
        if values != sorted(values) or not all(0 <= value < _MOST for value in values):
            raise ValueError(f"the {name} of its records are not increasing numbers")
    if records and not records[-1].n_passes <= state.n_passes < _MOST:
        raise ValueError(f"its number of passes is {state.n_passes}")
