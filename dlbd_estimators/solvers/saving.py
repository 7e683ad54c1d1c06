"""A solver's state as bytes: arrays and plain values, and no code that would be run.

They are those of :func:`numpy.savez`. Member ``state`` is JSON: numbers, strings and lists as they
are, and the rest as objects of one key:

===================== =====================================================
``{"array": k}``      the array, or the NumPy scalar, in member ``k``
``{"tuple": [...]}``  a tuple
``{"name": ...}``     a member of an enumeration
``{"fields": {...}}`` a data class; what it is, the annotation says that holds it
===================== =====================================================

So what is read is what the annotations of the solver's state name, and nothing else. A fit that
goes on from such a state has the bits that it would have had without the stop.
"""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.solvers.solver import Solver, State

_HEADER = "state"


def to_bytes(state: State) -> bytes:
    """Return a state as bytes, for :func:`from_bytes`."""
    arrays: list[NDArray[Any]] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            arrays.append(np.asarray(value))
            return {"array": len(arrays) - 1, "scalar": isinstance(value, np.generic)}
        if isinstance(value, Enum):
            return {"name": value.name}
        if isinstance(value, tuple):
            return {"tuple": [plain(each) for each in value]}
        if is_dataclass(value):
            held = {each.name: plain(getattr(value, each.name)) for each in fields(value)}
            return {"fields": held}
        return value

    header = json.dumps(plain(state)).encode()
    members: dict[str, Any] = {str(place): array for place, array in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, **members | {_HEADER: np.frombuffer(header, np.uint8)})
    return buffer.getvalue()


def from_bytes(solver: Solver[Any, Any], data: bytes) -> State:
    """Return the state of a solver that :func:`to_bytes` made bytes of.

    Parameters
    ----------
    solver : Solver
        Whose state it is.
    data : bytes
        They are only read: whatever they hold, nothing is run.

    Raises
    ------
    ValueError
        They are no state of this solver.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as members:

        def value(plain: Any, annotation: Any) -> Any:
            if not isinstance(plain, dict):
                return plain
            [key] = plain.keys() - {"scalar"}
            held = plain[key]
            if key == "array":
                array = members[str(held)]
                return array[()] if plain["scalar"] else array
            if key == "tuple":
                return tuple(value(each, annotation) for each in held)
            if key == "name":
                return _named(Enum, annotation)[held]
            return made(_named(None, annotation), held)

        def made(kind: Any, held: dict[str, Any]) -> Any:
            hints = get_type_hints(kind)
            if held.keys() != {each.name for each in fields(kind)}:
                raise ValueError(f"These are not the fields of {kind.__name__}: {sorted(held)}.")
            return kind(**{name: value(plain, hints[name]) for name, plain in held.items()})

        header = json.loads(members[_HEADER].tobytes())
        state: State = made(solver.state, header["fields"])
    return state


def _named(base: type | None, annotation: Any) -> Any:
    """Return the one class that an annotation names: an enumeration, or a data class."""
    found = {
        kind
        for kind in _classes(annotation)
        if (is_dataclass(kind) if base is None else issubclass(kind, base))
    }
    [kind] = found
    return kind


def _classes(annotation: Any) -> set[type]:
    parts = get_args(annotation)
    if parts:
        return set().union(*map(_classes, parts))
    return {annotation} if isinstance(annotation, type) else set()
