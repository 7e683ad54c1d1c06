"""Refuse arrays that were shuffled separately: their rows no longer match."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import combinations
from typing import Any

from dask.array.core import Array as DaskArray
from dask.blockwise import Blockwise
from dask.core import flatten

__all__ = ["check_same_shuffle"]

# Prefixes of the names of a shuffle's barrier, the task that waits for all partitions: the first
# two in shuffles through the disk, the last in shuffles between workers.
_BARRIERS = ("barrier-", "zpartd-", "shuffle-barrier-")
# Name in the keys of a shuffle by plain tasks, before its token.
_TASK_SHUFFLE = "taskshuffle-"


def check_same_shuffle(arrays: Mapping[str, Any]) -> None:
    """Raise if rows of some arrays were shuffled, and other arrays do not share the shuffle.

    Raises
    ------
    ValueError
        When two arrays do not share their shuffle; the message names them.
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
    for first_name, second_name in combinations(orders, 2):
        if orders[first_name] != orders[second_name]:
            raise ValueError(
                f"{first_name} and {second_name} do not come from the same shuffle, and each "
                f"shuffle has its own order of rows: rows of {first_name} would be paired with the "
                f"wrong rows of {second_name}. Columns of one shuffled frame (set_index, merge, "
                f"sort_values, shuffle) are shuffled separately if each is converted to an array "
                f"or computed on its own: give the frames themselves, or one array that is cut "
                f"into {first_name} and {second_name}, or persist the frame first. Join frames "
                f"that were shuffled separately into one frame first"
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
        """Return the barriers of all shuffles that any task of the array needs."""
        return self._barriers

    def last_barriers(self) -> set[Any]:
        """Return the barriers that set the order of the blocks' rows: the last one on each path.

        A value that both the first and the last block need is a number, such as the mean of a
        frame. It does not affect the order of the rows, so shuffles behind it are ignored.
        """
        return self._reached(flatten(self._blocks), self._numbers) & self._barriers

    def partitions_shuffled(self) -> list[int]:
        """Return the number of input partitions of each shuffle by tasks, sorted.

        Such a shuffle is deterministic, but its order of rows depends on the number of partitions.
        That number depends on the columns: Dask reads more Parquet files into one partition if it
        reads fewer columns.
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
        """Keys of values that the blocks need, but that hold no rows of the blocks."""
        numbers: set[Any] = set()
        if len(self._blocks) > 1:
            first, last = (self._reached(self._blocks[i], set()) for i in (0, -1))
            # The tasks behind such a value are shared, too. Only the values that blocks use
            # directly count as numbers: no block gets its rows through them.
            shared = (first & last) - self._barriers
            shared -= set(filter(_is_task_shuffle, shared))
            entered = (self._reached(self._blocks[i], shared) & shared for i in (0, -1))
            numbers = set.intersection(*entered)
        return numbers

    def _reached(self, keys: Iterable[Any], ends: Collection[Any]) -> set[Any]:
        """Return all tasks that these tasks need; the search stops at barriers and at `ends`."""
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
    # Rechunking an array between workers uses barriers, too, but keeps the order of the rows.
    return "Rechunk" not in type(getattr(layer[key], "spec", None)).__name__
