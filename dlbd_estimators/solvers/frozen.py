"""Copies of frozen data classes with other values of some fields.

A state has about twenty fields, and a step of a fit makes several copies of it.
``dataclasses.replace`` passes all fields to ``__init__``. That takes ten times as long as a copy of
the dictionary of the fields, and in a fit of a thousand rows as long as the arithmetic.
"""

from __future__ import annotations

from typing import Any, TypeVar

Frozen = TypeVar("Frozen")


def replace(instance: Frozen, **changes: Any) -> Frozen:
    """Return a copy of a data class with other values of some fields.

    Parameters
    ----------
    instance : dataclass
        All its fields are arguments of its ``__init__``, and it has no cached properties: the copy
        would keep their values.
    **changes
        The new values, by field.

    Raises
    ------
    TypeError
        The class has no such field.
    """
    fields = vars(instance)
    copy = object.__new__(type(instance))
    copied = vars(copy)
    copied.update(fields)
    copied.update(changes)
    if len(copied) > len(fields):
        unknown = sorted(changes.keys() - fields.keys())
        raise TypeError(f"{type(instance).__name__} has no field {', '.join(unknown)}.")
    complete = getattr(copy, "__post_init__", None)
    if complete is not None:
        complete()
    return copy
