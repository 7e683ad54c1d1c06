"""Check values of a JSON file against the annotations of the classes that they will fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from storage.metadata import shortened

__all__ = ["from_plain"]

T = TypeVar("T")

_MAX_INT = 2**63


def from_plain(kind: type[T], value: Any) -> T:
    """Return an instance of a data class from the plain values of its fields.

    Parameters
    ----------
    kind : type
        A data class. Its annotations may have plain types, other data classes, ``Literal``,
        ``Mapping[str, ...]``, ``tuple[..., ...]``, ``Sequence`` and unions of these.
    value : object
        What JSON holds: an object with the names of the fields.

    Raises
    ------
    TypeError, ValueError
        When a field is missing, unknown, or of another type.
    """
    instance: T = _typed(kind, value, kind.__name__)
    return instance


def _typed(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal and isinstance(value, str) and value in arguments:
        return value
    if origin in (tuple, Sequence) and isinstance(value, list | tuple):
        return tuple(_typed(arguments[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {
            key: _typed(arguments[1], item, f"{where}.{key:.50}") for key, item in value.items()
        }
    if is_dataclass(kind) and isinstance(value, dict):
        return _instance(kind, value, where)
    return _scalar(kind, value, where)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int and abs(value) < _MAX_INT:
        return value
    if type(value) is not kind:
        raise TypeError(f"{where} is {shortened(value)}")
    if kind is int and abs(value) >= _MAX_INT:
        raise ValueError(f"{where} is {shortened(value)}, which does not fit into 64 bits")
    if kind is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair is valid JSON
            raise ValueError(f"{where} is {shortened(value)}, which is not a text") from None
    return value


def _one_of(kinds: Sequence[Any], value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return _typed(type(None) if kind is None else kind, value, where)
        except TypeError:
            continue
    raise TypeError(f"{where} is {shortened(value)}")


def _instance(kind: Any, value: Mapping[str, Any], where: str) -> Any:
    hints, expected = _hints(kind), {field.name: field for field in fields(kind)}
    unknown = value.keys() - expected.keys()
    missing = [
        name
        for name, field in expected.items()
        if name not in value and field.default is MISSING and field.default_factory is MISSING
    ]
    if unknown or missing:
        raise ValueError(f"{where} has other fields than {', '.join(expected)}")
    typed = {name: _typed(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    return kind(**typed)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
