"""Convert a NumPy RandomState to plain values, which a solver's state can hold."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

#: Pairs of a name and a value: a number, a text, an array, or more such pairs.
Frozen: TypeAlias = tuple[tuple[str, Any], ...]

_GENERATORS = {
    generator.__name__: generator
    for generator in (
        np.random.MT19937,
        np.random.PCG64,
        np.random.PCG64DXSM,
        np.random.Philox,
        np.random.SFC64,
    )
}


def freeze(random_state: np.random.RandomState) -> Frozen:
    """Return the state of a RandomState, as a copy."""
    return _pairs(random_state.get_state(legacy=False))


def thaw(frozen: Frozen) -> np.random.RandomState:
    """Return a new RandomState with the state that :func:`freeze` returned.

    Raises
    ------
    ValueError
        NumPy has no generator of this name, or the generator has no such state.
    """
    try:
        return _thawed(_mapping(frozen))
    except (TypeError, LookupError, OverflowError, AttributeError) as error:
        raise ValueError(f"it is not the state of a generator ({error})") from error


def _thawed(state: dict[str, Any]) -> np.random.RandomState:
    name = state.get("bit_generator")
    # A file may hold any name, and ``np.random`` has other functions than generators.
    if name not in _GENERATORS:
        raise ValueError(f"NumPy has no generator {name!r:.100}")
    random_state = np.random.RandomState(_GENERATORS[name]())
    random_state.set_state(state)
    # NumPy converts other dtypes, and does not check all numbers.
    if not _is_same(random_state.get_state(legacy=False), state) or not _is_position(state):
        raise ValueError(f"{name} has no such state")
    return random_state


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two states are equal, in the dtypes of their arrays, too."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return not isinstance(other, bool) and bool(one == other)


def _is_position(state: dict[str, Any]) -> bool:
    """Return whether the generator's position in its array of numbers is within the array."""
    inner = state["state"]
    return "pos" not in inner or 0 <= inner["pos"] <= len(inner["key"])


def set_to(random_state: np.random.RandomState, frozen: Frozen) -> None:
    """Set a RandomState to the state that :func:`freeze` returned."""
    random_state.set_state(_mapping(frozen))


def _pairs(values: Any) -> Frozen:
    return tuple(
        (name, _pairs(value) if isinstance(value, dict) else value)
        for name, value in values.items()
    )


def _mapping(frozen: Frozen) -> dict[str, Any]:
    return {name: _mapping(value) if isinstance(value, tuple) else value for name, value in frozen}
