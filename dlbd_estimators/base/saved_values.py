"""Convert the values of a saved model to facts and arrays, and back, without any code.

Facts are JSON. Numbers, text, None and booleans stay as they are; other values become objects:

=========================================== =================================================
``{"list": [...]}``, ``{"tuple": [...]}``    a list or a tuple
``{"dict": [[key, value], ...]}``            a dict
``{"array": k}``                             array number k, of numbers or booleans
``{"viewed": k, "dtype": , "shape": }``      an array of text, dates or durations, as integers
``{"objects": [...], "shape": }``            an array of Python's objects
``{"scalar": ...}``                          a NumPy scalar, as an array without axes
``{"slice": [...]}``                         a slice
``{"dtype": }``, ``{"type": }``              a NumPy dtype; a type that is used as one
``{"sparse": [...], "format": , "shape": }`` a sparse matrix: data, indices, indptr
``{"random_state": ...}``                    the state of a RandomState
``{"missing": "pandas.NA"}``                 pandas' missing value
``{"object": name, "holds": {...}}``         an estimator or a splitter, by its public name
``{"again": k}``                             the k-th of these objects again
``{"kept": ...}``                            a data class, see :mod:`dlbd_estimators.solvers.saving`
=========================================== =================================================
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from dlbd_estimators.base.versions import ONLY_WITHIN_A_FIT
from dlbd_estimators.solvers.random_states import Frozen, freeze, thaw
from dlbd_estimators.solvers.saving import Arrays, from_facts, to_facts

#: Not saved: in these attributes scikit-learn keeps callbacks, which belong to a single fit.
_CALLBACKS = ("_skl_callbacks", *ONLY_WITHIN_A_FIT)
_PLAIN = (bool, int, float, str, type(None))
_NUMBERS = "biuf"
#: Integers as which arrays of text, durations and dates are stored, by the kind of the dtype.
_INTEGERS = {"U": np.uint32, "m": np.int64, "M": np.int64}
_KINDS = f"{_NUMBERS}{''.join(_INTEGERS)}O"
_SPARSE = {
    each.__name__: each
    for each in (
        scipy.sparse.csr_array, scipy.sparse.csr_matrix,
        scipy.sparse.csc_array, scipy.sparse.csc_matrix,
    )
}  # fmt: skip
#: Types that users pass as a dtype, as in OneHotEncoder(dtype=np.float32).
_TYPES = {each.__name__: each for each in (bool, int, float, str, object)} | {
    f"numpy.{each.__name__}": each
    for each in (
        np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64,
        np.uint8, np.uint16, np.uint32, np.uint64, np.bool_, np.object_, np.str_,
    )
}  # fmt: skip

#: From a class to its public name (None if a file may not name it), and from a name to its class.
NameOf = Callable[[type], str | None]
ClassOf = Callable[[str], type]


class ValueEncoder:
    """Converts values to facts.

    Parameters
    ----------
    name_of : callable
        Returns the public name of a class, or None if a file may not name it.

    Attributes
    ----------
    arrays : list of ndarray
        Arrays of all values converted until now.
    """

    def __init__(self, name_of: NameOf) -> None:
        self.arrays: Arrays = []
        self._name_of = name_of
        self._numbers: dict[int, int] = {}

    def of(self, value: Any, where: str) -> Any:
        """Return the facts of a value; error messages give its place as ``where``.

        Raises
        ------
        TypeError
            A file cannot hold the value.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind in (list, tuple):
            return {kind.__name__: [self.of(*each) for each in _entries(value, where)]}
        if kind is dict:
            pairs = value.items()
            return {"dict": [[self.of(k, where), self.of(v, f"{where}[{k!r}]")] for k, v in pairs]}
        if kind is np.ndarray:
            return self._array(value, where)
        return self._other(value, where)

    def _array(self, array: NDArray[Any], where: str) -> Any:
        shape = list(array.shape)
        if array.dtype.kind in _NUMBERS:
            return {"array": self._add(array)}
        if array.dtype.kind in _INTEGERS:
            flat = np.ascontiguousarray(array).reshape(-1)
            viewed = self._add(flat.view(_INTEGERS[array.dtype.kind]))
            return {"viewed": viewed, "dtype": array.dtype.str, "shape": shape}
        if array.dtype.kind == "O":
            return {"objects": [self.of(each, where) for each in array.flat], "shape": shape}
        raise cannot_save(array, where)

    def _add(self, array: NDArray[Any]) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _other(self, value: Any, where: str) -> Any:
        name = self._name_of(type(value))
        if name is not None:
            return self._object(value, name, where)
        for kind, facts_of in _OF_KIND.items():
            if isinstance(value, kind):
                return facts_of(self, value, where)
        if value is getattr(sys.modules.get("pandas"), "NA", ...):
            return {"missing": "pandas.NA"}
        raise cannot_save(value, where)

    def _scalar(self, value: np.generic, where: str) -> Any:
        return {"scalar": self._array(np.asarray(value), where)}

    def _slice(self, value: slice, where: str) -> Any:
        return {"slice": [self.of(each, where) for each in (value.start, value.stop, value.step)]}

    def _dtype(self, value: np.dtype[Any], where: str) -> Any:
        if value.kind not in _KINDS:
            raise cannot_save(value, where)
        return {"dtype": value.str}

    def _type(self, value: type, where: str) -> Any:
        for name, each in _TYPES.items():
            if each is value:
                return {"type": name}
        raise cannot_save(value, where)

    def _random_state(self, value: np.random.RandomState, where: str) -> Any:
        return {"random_state": to_facts(freeze(value), self.arrays)}

    def _sparse(self, value: Any, where: str) -> Any:
        parts = [self._array(each, where) for each in (value.data, value.indices, value.indptr)]
        shape = [int(length) for length in value.shape]
        return {"sparse": parts, "format": type(value).__name__, "shape": shape}

    def _object(self, value: Any, name: str, where: str) -> Any:
        if id(value) in self._numbers:
            return {"again": self._numbers[id(value)]}
        self._numbers[id(value)] = len(self._numbers)
        kept = getattr(value, "_saved_as", {})
        held = {
            key: {"kept": to_facts(each, self.arrays)}
            if key in kept
            else self.of(each, f"{where}.{key}")
            for key, each in vars(value).items()
            if key not in _CALLBACKS
        }
        return {"object": name, "holds": held}


#: Methods that convert values of other types than plain values, containers and estimators.
_OF_KIND: dict[type, Callable[[ValueEncoder, Any, str], Any]] = {
    np.generic: ValueEncoder._scalar,
    slice: ValueEncoder._slice,
    np.dtype: ValueEncoder._dtype,
    type: ValueEncoder._type,
    np.random.RandomState: ValueEncoder._random_state,
    **dict.fromkeys(_SPARSE.values(), ValueEncoder._sparse),
}


class ValueDecoder:
    """Converts facts back to values.

    Parameters
    ----------
    arrays : sequence of ndarray
        The arrays to which the facts refer. They are not copied.
    class_of : callable
        Returns the class with a public name; raises ValueError if a file may not name it.
    """

    def __init__(self, arrays: Sequence[NDArray[Any]], class_of: ClassOf) -> None:
        self._arrays = arrays
        self._class_of = class_of
        self._objects: list[Any] = []

    def of(self, facts: Any) -> Any:
        """Return the value that facts describe.

        Raises
        ------
        ValueError, TypeError, KeyError, IndexError
            The facts do not describe a value.
        """
        if type(facts) in _PLAIN:
            return facts
        read: dict[str, Callable[[Any], Any]] = {
            "list": self._all,
            "tuple": lambda held: tuple(self._all(held)),
            "dict": lambda pairs: {self.of(key): self.of(value) for key, value in pairs},
            "scalar": lambda held: self.of(held)[()],
            "slice": lambda ends: slice(*self._all(ends)),
            "array": lambda number: self._arrays[_index(number)],
            "dtype": _dtype,
            "type": _TYPES.__getitem__,
            "random_state": lambda held: thaw(from_facts(held, self._arrays, Frozen)),
            "missing": _missing,
            "again": lambda number: self._objects[_index(number)],
            "viewed": lambda k: (
                self._arrays[_index(k)].view(_dtype(facts["dtype"])).reshape(facts["shape"])
            ),
            "objects": lambda held: _objects(self._all(held), facts["shape"]),
            "sparse": lambda held: _sparse(facts["format"], self._all(held), facts["shape"]),
            "object": lambda name: self._object(name, facts["holds"]),
        }
        key = next(iter(facts), "")
        return read[key](facts[key])

    def _all(self, facts: list[Any]) -> list[Any]:
        return [self.of(each) for each in facts]

    def _object(self, name: str, held: dict[str, Any]) -> Any:
        kind = self._class_of(name)
        new: Any = object.__new__(kind)
        self._objects.append(new)
        kept = getattr(kind, "_saved_as", {})
        for key, each in held.items():
            if isinstance(each, dict) and each.keys() == {"kept"}:
                vars(new)[key] = from_facts(each["kept"], self._arrays, kept[key])
            else:
                vars(new)[key] = self.of(each)
        check = getattr(kind, "_check_loaded", None)
        if check is not None:
            check(new)
        return new


def cannot_save(value: Any, where: str) -> TypeError:
    """Return the error for a value that a file cannot hold; it explains how else to save it."""
    kind = type(value)
    what = f"a {kind.__name__}" if kind.__module__ == "builtins" else f"of {kind.__module__}"
    return TypeError(
        f"{where} is {value!r:.200} ({what}), which a file without code cannot hold. It can hold "
        f"estimators of this package and scikit-learn's Pipeline, and parameters and attributes "
        f"that are numbers, text or arrays. Save this model by "
        f"skops.io.dump(dlbd_estimators.to_sklearn(model), path), or by joblib.dump(model, path), "
        f"which writes a pickle."
    )


def _entries(values: Sequence[Any], where: str) -> Iterator[tuple[Any, str]]:
    """Yield each item of a list or tuple and its place: by name for steps, otherwise by number."""
    if _is_step(values):  # where already contains the name of the step
        yield from ((each, where) for each in values)
    else:
        for number, each in enumerate(values):
            yield each, f"{where}[{repr(each[0]) if _is_step(each) else number}]"


def _is_step(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str)


def _dtype(text: str) -> np.dtype[Any]:
    dtype = np.dtype(str(text))
    if dtype.kind not in _KINDS:
        raise ValueError(f"no array has dtype {dtype}")
    return dtype


def _index(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r:.50} is not the number of an array or object")
    return number


def _sparse(kind: str, parts: list[Any], shape: list[int]) -> Any:
    matrix = _SPARSE[kind](tuple(parts), shape=tuple(shape))
    # SciPy does not check that indices are within the shape. It would write outside of its memory.
    matrix.check_format(full_check=True)
    return matrix


def _objects(values: list[Any], shape: list[int]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    for i, value in enumerate(values):  # np.array would turn lists into axes
        array[i] = value
    return array.reshape(shape)


def _missing(name: str) -> Any:
    if name != "pandas.NA":
        raise ValueError(f"there is no missing value {name!r:.100}")
    import pandas as pd

    return pd.NA
