"""Convert a solver's state to facts and arrays, or to bytes; reading them back runs no code.

The facts are JSON values. Numbers, strings and None stay as they are; any other value is an object
with one key:

===================== =====================================================
``{"array": k}``      array number k
``{"scalar": k}``     the NumPy scalar in array number k
``{"tuple": [...]}``  a tuple
``{"name": ...}``     a member of an enumeration; the class of a loss or of an activation
``{"fields": {...}}`` a data class; which one is known from the annotation of the field
===================== =====================================================

Reading checks each value against its annotation in the solver's state, and accepts nothing else. A
fit that continues from such a state has the same result, to the last bit, as one without the stop.
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
from dlbd_estimators.solvers.random_states import Frozen, thaw
from dlbd_estimators.solvers.solver import Solver, State

Arrays: TypeAlias = list[NDArray[Any]]

#: For the annotation of a plain value: its types in JSON, and the kinds of its NumPy dtypes.
_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    float: ((float, int), "fiu"),
    int: ((int,), "iu"),
    bool: ((bool,), "b"),
    str: ((str,), ""),
    NoneType: ((NoneType,), ""),
}
#: Objects without fields, which are identified by the name of their class.
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
    """Return the facts of a value, which JSON can hold; its arrays are stored separately.

    Parameters
    ----------
    value : object
        Plain values, arrays, tuples, enumerations, and data classes of these.
    arrays : list of ndarray
        The arrays of the value are appended to this list.
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
        content = {each.name: to_facts(getattr(value, each.name), arrays) for each in fields(value)}
        return {"fields": content}
    return value


def from_facts(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    """Return the value that facts and arrays represent.

    Parameters
    ----------
    facts : object
        Facts from :func:`to_facts`, or from a source that is not trusted.
    arrays : sequence of ndarray
        The arrays of the value; they are not copied.
    annotation : object
        The type that the value must have.

    Raises
    ------
    ValueError
        The facts do not represent a value of this type.
    """
    if annotation in _NAMED:
        return _named_object(facts, annotation, _NAMED[annotation])()
    if isinstance(annotation, type) and is_dataclass(annotation):
        return _data_class(facts, arrays, annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _named_object(facts, annotation, annotation.__members__)
    read = _READ.get(get_origin(annotation) or annotation, _plain)
    return read(facts, arrays, annotation)


def to_bytes(state: State) -> bytes:
    """Return a state as bytes, for :func:`from_bytes`."""
    arrays: Arrays = []
    return b"".join(pack(to_facts(state, arrays), arrays))


def from_bytes(solver: Solver[Any, Any], data: bytes) -> State:
    """Return the state of a solver that :func:`to_bytes` converted to bytes.

    Parameters
    ----------
    solver : Solver
        The solver that the state belongs to.
    data : bytes
        The bytes. They need not be trusted: reading them runs no code.

    Raises
    ------
    ValueError
        The bytes are not a state of this solver.
    """
    state: State = from_facts(*unpack(data), solver.state)
    return state


def _data_class(facts: Any, arrays: Sequence[NDArray[Any]], kind: Any) -> Any:
    content = _content(facts, "fields", kind)
    if content.keys() != {each.name for each in fields(kind)}:
        raise ValueError(f"These are not the fields of {kind.__name__}: {sorted(content)}.")
    hints = get_type_hints(kind)
    return kind(**{name: from_facts(each, arrays, hints[name]) for name, each in content.items()})


def _named_object(facts: Any, kind: Any, members: Mapping[str, Any]) -> Any:
    name = _content(facts, "name", kind)
    if name not in members:
        raise ValueError(f"{name!r:.100} is not a value of {kind}")
    return members[name]


def _union_member(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    errors = []
    for kind in get_args(annotation):
        try:
            return from_facts(facts, arrays, kind)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError("; ".join(errors))


def _tuple(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    content, kinds = _content(facts, "tuple", annotation), get_args(annotation)
    if len(kinds) == 2 and kinds[1] is ...:
        kinds = (kinds[0],) * len(content)
    pairs = zip(content, kinds, strict=True)
    value = tuple(from_facts(each, arrays, kind) for each, kind in pairs)
    if annotation == Frozen:
        thaw(value)  # raises ValueError if it is not the state of a generator
    return value


def _plain(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    types, kinds_of_scalar = _PLAIN[annotation]
    if isinstance(facts, dict):
        value = _array(facts, arrays, "scalar", annotation)[()]
        valid = np.ndim(value) == 0 and value.dtype.kind in kinds_of_scalar
    else:
        value = facts
        valid = isinstance(facts, types) and (bool in types or not isinstance(facts, bool))
    if not valid:
        raise ValueError(f"{facts!r:.100} is not a value of {annotation}")
    return value


def _whole_array(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    array, wanted = _array(facts, arrays, "array", annotation), _dtype_of(annotation)
    if wanted is not None and not np.issubdtype(array.dtype, wanted):
        raise ValueError(f"an array of {array.dtype} is not a value of {annotation}")
    return array


def _dtype_of(annotation: Any) -> Any:
    """Return the class of the entries in an annotation of an array; None if it names none."""
    for argument in get_args(annotation):
        if get_origin(argument) is np.dtype:
            [entries] = get_args(argument)
            return None if entries is Any else get_origin(entries) or entries
    return None


def _without_annotation(facts: Any, arrays: Sequence[NDArray[Any]], annotation: Any) -> Any:
    """Return a value that needs no annotation: a plain value, an array, a scalar or a tuple."""
    if not isinstance(facts, dict):
        return facts
    key = next(iter(facts), "")
    if key == "tuple":
        content = _content(facts, key, annotation)
        return tuple(_without_annotation(each, arrays, annotation) for each in content)
    array = _array(facts, arrays, "array" if key == "array" else "scalar", annotation)
    return array if key == "array" else array[()]


def _array(facts: Any, arrays: Sequence[NDArray[Any]], key: str, annotation: Any) -> NDArray[Any]:
    number = _content(facts, key, annotation)
    if not isinstance(number, int) or not 0 <= number < len(arrays):
        raise ValueError(f"There is no array {number!r:.100}.")
    return arrays[number]


def _content(facts: Any, key: str, annotation: Any) -> Any:
    """Return the value under ``key``, which must be the only key of an object."""
    kinds = {"fields": dict, "tuple": list, "name": str}
    if not (
        isinstance(facts, dict)
        and facts.keys() == {key}
        and isinstance(facts[key], kinds.get(key, object))
    ):
        raise ValueError(f"{facts!r:.100} is not a value of {annotation}")
    return facts[key]


#: Functions that read values of other annotations; generic annotations by their origin.
_READ: dict[Any, Callable[[Any, Sequence[NDArray[Any]], Any], Any]] = {
    Union: _union_member,
    UnionType: _union_member,
    tuple: _tuple,
    np.ndarray: _whole_array,
    NDArray: _whole_array,  # from NumPy 2.5 on, get_origin returns this alias itself
    Any: _without_annotation,
}
