"""Arrays whose order was lost before they came here: two shuffles where there should be one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from dask.array.core import Array as DaskArray
from dask.blockwise import Blockwise

__all__ = ["refuse_shuffled_apart"]

# Tasks that wait for all partitions, once a shuffle: by way of the disk, and between workers.
_BARRIERS = ("barrier-", "zpartd-", "shuffle-barrier-")


def refuse_shuffled_apart(arrays: Mapping[str, Any]) -> None:
    """Raise where two arrays come from shuffles that are not the same.

    Raises
    ------
    ValueError
        When each comes from shuffles, and they share none.
    """
    shuffles = {
        name: found
        for name, array in arrays.items()
        if isinstance(array, DaskArray) and (found := _barriers(array))
    }
    for one, other in combinations(shuffles, 2):
        if not shuffles[one] & shuffles[other]:
            raise ValueError(
                f"{one} and {other} come from two separate shuffles, and each leaves the rows "
                f"in an order of its own: rows of {one} would stand beside rows of another "
                f"{other}. Columns of one shuffled frame (set_index, merge, sort_values, "
                f"shuffle) that were made arrays one by one, with to_dask_array or values, are "
                f"shuffled apart: give the frames themselves, or one array that is cut into "
                f"{one} and {other}. Join frames that were shuffled one by one into one frame first"
            )


def _barriers(array: DaskArray) -> set[Any]:
    if not any(map(_holds_barrier, array.dask.layers.values())):
        return set()
    # Other arrays' tasks may lie in the same graph.
    culled = array.dask.cull(set(_flat(array.__dask_keys__())))
    return {
        key
        for layer in culled.layers.values()
        if not isinstance(layer, Blockwise)
        for key in layer
        if _is_barrier(layer, key)
    }


def _holds_barrier(layer: Any) -> bool:
    return not isinstance(layer, Blockwise) and any(_is_barrier(layer, key) for key in layer)


def _is_barrier(layer: Any, key: Any) -> bool:
    text = key[0] if isinstance(key, tuple) else key
    if not isinstance(text, str) or not text.startswith(_BARRIERS):
        return False
    # Workers exchange parts of arrays behind barriers too; there, every row has its place.
    return "Rechunk" not in type(getattr(layer[key], "spec", None)).__name__


def _flat(keys: Any) -> Any:
    for key in keys:
        if isinstance(key, list):
            yield from _flat(key)
        else:
            yield key
