"""Refuse arrays that were shuffled separately: their rows no longer match."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import combinations
from typing import Any

from dask.array.core import Array as DaskArray
from dask.blockwise import Blockwise
from dask.core import flatten

__all__ = ["refuse_shuffled_apart"]

# Names of the one task in a shuffle that waits for all partitions: on disk, and between workers.
_BARRIERS = ("barrier-", "zpartd-", "shuffle-barrier-")
# Name in the keys of a shuffle by plain tasks, before its token.
_TASK_SHUFFLE = "taskshuffle-"


def refuse_shuffled_apart(arrays: Mapping[str, Any]) -> None:
    """Raise if rows of some arrays were shuffled, and other arrays do not share the shuffle.

    Raises
    ------
    ValueError
        Names two arrays that do not.
    """
    shuffled = {
        name: _Tasks(array)
        for name, array in arrays.items()
        if isinstance(array, DaskArray) and any(map(_holds_shuffle, array.dask.layers.values()))
    }
    _refuse_others({name: tasks.partitions_shuffled() for name, tasks in shuffled.items()})
    orders = {name: tasks.last_barriers() for name, tasks in shuffled.items()}
    if any(orders.values()):
        orders = {name: orders.get(name, set()) for name in arrays}
    else:
        # All rows were put in one block, or a block needs only a number of a shuffled frame.
        found = {name: tasks.barriers() for name, tasks in shuffled.items()}
        orders = {name: each for name, each in found.items() if each}
    _refuse_others(orders)


def _refuse_others(orders: Mapping[str, Any]) -> None:
    for one, other in combinations(orders, 2):
        if orders[one] != orders[other]:
            raise ValueError(
                f"{one} and {other} do not come from the same shuffle, and a shuffle leaves the "
                f"rows in an order of its own: rows of {one} would stand beside rows of another "
                f"{other}. Columns of one shuffled frame (set_index, merge, sort_values, "
                f"shuffle) that were made arrays or computed one by one are shuffled apart: give "
                f"the frames themselves, or one array that is cut into {one} and {other}, or "
                f"persist the frame first. Join frames that were shuffled one by one into one "
                f"frame first"
            )


class _Tasks:
    """The tasks that an array needs.

    Parameters
    ----------
    array : dask.array.Array
        Its graph may also hold tasks of other arrays.
    """

    def __init__(self, array: DaskArray) -> None:
        keys = array.__dask_keys__()
        graph = array.dask.cull(set(flatten(keys)))
        self._needs = graph.get_all_dependencies()
        self._barriers = {
            key
            for layer in graph.layers.values()
            if not isinstance(layer, Blockwise)
            for key in layer
            if _is_barrier(layer, key)
        }
        self._blocks = [list(flatten([block])) for block in keys]

    def barriers(self) -> set[Any]:
        """All shuffles that any task of the array needs."""
        return self._barriers

    def last_barriers(self) -> set[Any]:
        """The shuffles that order the rows of the blocks: on each path the last shuffle.

        A value that both the first and the last block need is a number, such as the mean of a
        frame. It does not order the rows.
        """
        return self._reached(flatten(self._blocks), self._numbers) & self._barriers

    def partitions_shuffled(self) -> list[int]:
        """The number of partitions of each shuffle by tasks.

        Such a shuffle is not random, but the order of rows depends on the number of partitions. And
        that depends on the columns: Dask reads more Parquet files as one partition if the columns
        are fewer.
        """
        way = self._reached(flatten(self._blocks), self._numbers)
        last = set(filter(_is_task_shuffle, way))
        inputs: dict[str, set[Any]] = {}
        for key in filter(_is_task_shuffle, self._reached(last, set())):
            token = key[0].rpartition("-")[2]
            given = {each for each in self._needs[key] if token not in str(each)}
            inputs.setdefault(token, set()).update(given)
        return sorted(map(len, inputs.values()))

    @cached_property
    def _numbers(self) -> set[Any]:
        """Keys of values that blocks need, but that do not bring rows to them."""
        numbers: set[Any] = set()
        if len(self._blocks) > 1:
            first, last = (self._reached(self._blocks[i], set()) for i in (0, -1))
            # A mean needs all partitions in its turn; no block takes its rows by way of it.
            shared = (first & last) - self._barriers
            shared -= set(filter(_is_task_shuffle, shared))
            entered = (self._reached(self._blocks[i], shared) & shared for i in (0, -1))
            numbers = set.intersection(*entered)
        return numbers

    def _reached(self, keys: Iterable[Any], ends: Collection[Any]) -> set[Any]:
        """All tasks that these tasks need; stops at shuffles and at ``ends``."""
        seen: set[Any] = set()
        stack = list(keys)
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                if key not in self._barriers and key not in ends:
                    stack.extend(self._needs[key])
        return seen


def _holds_shuffle(layer: Any) -> bool:
    return not isinstance(layer, Blockwise) and any(
        _is_task_shuffle(key) or _is_barrier(layer, key) for key in layer
    )


def _is_task_shuffle(key: Any) -> bool:
    return isinstance(key, tuple) and _TASK_SHUFFLE in str(key[0])


def _is_barrier(layer: Any, key: Any) -> bool:
    text = key[0] if isinstance(key, tuple) else key
    if not isinstance(text, str) or not text.startswith(_BARRIERS):
        return False
    # Rechunking arrays between workers uses barriers, too, but keeps every row in its place.
    return "Rechunk" not in type(getattr(layer[key], "spec", None)).__name__
