"""A NumPy RandomState as plain values, which a state of training can hold."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

#: By name: numbers, text, arrays, and more of the same.
Frozen: TypeAlias = tuple[tuple[str, Any], ...]

_GENERATORS = {
    each.__name__: each
    for each in (
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
    """Return a new RandomState in that state.

    Raises
    ------
    ValueError
        It names no generator of NumPy.
    """
    state = _mapping(frozen)
    name = state.get("bit_generator")
    # A file may name anything, and NumPy has functions beside its generators.
    if name not in _GENERATORS:
        raise ValueError(f"NumPy has no generator {name!r:.100}")
    random_state = np.random.RandomState(_GENERATORS[name]())
    random_state.set_state(state)
    return random_state


def set_to(random_state: np.random.RandomState, frozen: Frozen) -> None:
    """Put a RandomState into that state."""
    random_state.set_state(_mapping(frozen))


def _pairs(values: Any) -> Frozen:
    return tuple(
        (name, _pairs(value) if isinstance(value, dict) else value)
        for name, value in values.items()
    )


def _mapping(frozen: Frozen) -> dict[str, Any]:
    return {name: _mapping(value) if isinstance(value, tuple) else value for name, value in frozen}
