"""Mutations of the arrays and counters of a file, for checksums that are computed again."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.mutations import places

Arrays = list[np.ndarray]
_COUNTERS = (-1, -(2**40), 2**53, 2**63, 10**30, 0.5, float("nan"), float("-inf"), None, "1")


def with_wrong_values(random: Random, facts: Any, arrays: Arrays) -> tuple[Any, Arrays, str]:
    """Return facts and arrays that no writer writes, and what was changed.

    One array is not finite, or has another shape or dtype; or there are fewer arrays than names; or
    a counter is no counter.
    """
    facts, arrays = deepcopy(facts), list(arrays)
    numbers = [
        (holder, key)
        for holder, key in places([facts])
        if isinstance(holder[key], int) and not isinstance(holder[key], bool)
    ]
    if numbers and (not arrays or random.random() < 0.2):
        holder, key = random.choice(numbers)
        wrong = random.choice(_COUNTERS)
        what = f"{key}: {holder[key]} -> {wrong}"
        holder[key] = wrong
        return facts, arrays, what
    at = random.randrange(len(arrays))
    before = arrays[at]
    if random.random() < 0.1:
        del arrays[at]
        return facts, arrays, f"array {at} is missing"
    arrays[at] = _wrong_array(random, before)
    return facts, arrays, f"array {at}: {_words(before)} -> {_words(arrays[at])}"


def _wrong_array(random: Random, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f" and array.size and random.random() < 0.4:
        wrong = array.copy(order="K")
        wrong.flat[random.randrange(array.size)] = random.choice((np.nan, np.inf, -np.inf))
        return wrong
    if random.random() < 0.4:
        kinds = {"b": "?", "i": "i8", "u": "u4", "f": "f8"}
        others = [kinds[each] for each in kinds if each != array.dtype.kind]
        return array.astype(random.choice(others))
    shapes = [
        array[:-1] if array.ndim else array[None],
        array[..., None],
        array[None],
        np.resize(array, (1,) * array.ndim),
        np.concatenate([array, array]) if array.ndim else np.stack([array, array]),
        np.zeros((0, *array.shape[1:]), array.dtype),
        np.resize(array, ()),
    ]
    return random.choice([each for each in shapes if each.shape != array.shape])


def _words(array: np.ndarray) -> str:
    finite = "" if array.dtype.kind != "f" or np.isfinite(array).all() else ", not finite"
    return f"{array.dtype}{array.shape}{finite}"
