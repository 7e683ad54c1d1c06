"""A solver's state as facts and arrays, or as bytes: plain values, and no code that would be run.

The facts are JSON: numbers, strings and None as they are, and the rest as objects of one key:

===================== =====================================================
``{"array": k}``      array number k
``{"scalar": k}``     the NumPy scalar in array number k
``{"tuple": [...]}``  a tuple
``{"name": ...}``     a member of an enumeration; the class of a loss or of an activation
``{"fields": {...}}`` a data class; what it is, the annotation says that holds it
===================== =====================================================

So what is read is what the annotations of the solver's state name, and nothing else: each value is
held against its annotation. A fit that goes on from such a state has the bits that it would have
had without the stop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.engine.packed_file import pack, unpack
from dlbd_estimators.kernels import losses
from dlbd_estimators.kernels.activations import ACTIVATIONS, Activation
from dlbd_estimators.solvers.solver import Solver, State

Arrays: TypeAlias = list[NDArray[Any]]

#: What JSON gives for a number or truth value of an annotation, and NumPy's kinds of it.
_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    float: ((float, int), "fiu"),
    int: ((int,), "iu"),
    bool: ((bool,), "b"),
    str: ((str,), ""),
    NoneType: ((NoneType,), ""),
}
#: What has no fields: it is told by the name of its class.
_NAMED: dict[Any, dict[str, Any]] = {
    losses.Loss: {
        each.__name__: each
        for each in (
            losses.HalfBinomialLoss,
            losses.HalfMultinomialLoss,
            losses.HalfPoissonDeviance,
            losses.HalfSquaredError,
        )
    },
    Activation: {type(each).__name__: type(each) for each in ACTIVATIONS.values()},
}


def to_facts(value: Any, arrays: Arrays) -> Any:
    """Return what JSON can hold of a value, for :func:`from_facts`.

    Parameters
    ----------
    value : object
        Plain values, arrays, tuples, enumerations, and data classes of these.
    arrays : list of ndarray
        Those of the value are appended.
    """
    if isinstance(value, np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    if isinstance(value, Enum):
        return {"name": value.name}
    if any(type(value) in named.values() for named in _NAMED.values()):
        return {"name": type(value).__name__}
    if isinstance(value, tuple):
        return {"tuple": [to_facts(each, arrays) for each in value]}
    if is_dataclass(value):
        held = {each.name: to_facts(getattr(value, each.name), arrays) for each in fields(value)}
        return {"fields": held}
    return value


def from_facts(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    """Return the value of an annotation that facts and arrays are of.

    Parameters
    ----------
    facts : object
        From :func:`to_facts`, or from anybody.
    arrays : sequence of ndarray
        They are not copied.
    annotation : object
        What the value has to be.

    Raises
    ------
    ValueError
        They are of something else.
    """
    if annotation in _NAMED:
        return _member(facts, annotation, _NAMED[annotation])()
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _data_class(facts, arrays, annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _member(facts, annotation, annotation.__members__)
    read = _READ.get(get_origin(annotation) or annotation, _plain)
    return read(facts, arrays, annotation)


def to_bytes(state: State) -> bytes:
    """Return a state as bytes, for :func:`from_bytes`."""
    arrays: Arrays = []
    return b"".join(pack(to_facts(state, arrays), arrays))


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
    state: State = from_facts(*unpack(data), solver.state)
    return state


def _data_class(facts: Any, arrays: Sequence[NDArray[Any]], kind: Any) -> Any:
    held = _held(facts, "fields", kind)
    if held.keys() != {each.name for each in fields(kind)}:
        raise ValueError(f"These are not the fields of {kind.__name__}: {sorted(held)}.")
    hints = get_type_hints(kind)
    return kind(**{name: from_facts(each, arrays, hints[name]) for name, each in held.items()})


def _member(facts: Any, kind: Any, members: Mapping[str, Any]) -> Any:
    name = _held(facts, "name", kind)
    if name not in members:
        raise ValueError(f"{name!r:.100} is not of {kind}")
    return members[name]


def _one_of(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    errors = []
    for kind in get_args(annotation):
        try:
            return from_facts(facts, arrays, kind)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError("; ".join(errors))


def _tuple(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    held, kinds = _held(facts, "tuple", annotation), get_args(annotation)
    if len(kinds) == 2 and kinds[1] is ...:
        kinds = (kinds[0],) * len(held)
    pairs = zip(held, kinds, strict=True)
    return tuple(from_facts(each, arrays, kind) for each, kind in pairs)


def _plain(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    types, kinds_of_scalar = _PLAIN[annotation]
    if isinstance(facts, dict):
        value = _array(facts, arrays, "scalar", annotation)[()]
        good = np.ndim(value) == 0 and value.dtype.kind in kinds_of_scalar
    else:
        value = facts
        good = isinstance(facts, types) and (bool in types or not isinstance(facts, bool))
    if not good:
        raise ValueError(f"{facts!r:.100} is not of {annotation}")
    return value


def _whole_array(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    return _array(facts, arrays, "array", annotation)


def _anything(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    """Return what says itself what it is: plain values, arrays and tuples."""
    if not isinstance(facts, dict):
        return facts
    key = next(iter(facts), "")
    if key == "tuple":
        held = _held(facts, key, annotation)
        return tuple(_anything(each, arrays, annotation) for each in held)
    array = _array(facts, arrays, "array" if key == "array" else "scalar", annotation)
    return array if key == "array" else array[()]


def _array(facts: Any, arrays: Sequence[NDArray[Any]], key: str, annotation: Any) -> NDArray[Any]:
    number = _held(facts, key, annotation)
    if not isinstance(number, int) or not 0 <= number < len(arrays):
        raise ValueError(f"There is no array {number!r:.100}.")
    return arrays[number]


def _held(facts: Any, key: str, annotation: Any) -> Any:
    """Return what stands under the one key of an object."""
    kinds = {"fields": dict, "tuple": list, "name": str}
    if not (
        isinstance(facts, dict)
        and facts.keys() == {key}
        and isinstance(facts[key], kinds.get(key, object))
    ):
        raise ValueError(f"{facts!r:.100} is not of {annotation}")
    return facts[key]


#: What reads the other annotations, or the origins of generic ones.
_READ: dict[Any, Callable[[Any, Sequence[NDArray[Any]], Any], Any]] = {
    Union: _one_of,
    UnionType: _one_of,
    tuple: _tuple,
    np.ndarray: _whole_array,
    NDArray: _whole_array,  # from NumPy 2.5 on, the alias is an origin of its own
    Any: _anything,
}
