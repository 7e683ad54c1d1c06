"""Inspect Dask graphs: which tasks blocks need, and which shuffles determine the order of rows.

These functions only look at tasks and their dependencies; they do not run tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dask.core import get_dependencies
from dask.task_spec import GraphNode
from dask.typing import Key

from dlbd_estimators.blocks.shared_parts import sharing

Graph = dict[Key, Any]
Dependencies = dict[Key, frozenset[Key]]

#: Prefix of the keys of tasks that wait until a P2P shuffle (between workers) has all rows.
P2P_BARRIER = "shuffle-barrier-"
_DISK_BARRIER = "barrier-"
#: Part of the keys of a task-based shuffle, before its token.
_TASK_SHUFFLE = "taskshuffle-"


def is_fused(task: Any) -> bool:
    """Return whether Dask's optimisation has fused several tasks into this one.

    The arguments of a fused task are its inner tasks, the key of the last inner task, names, and a
    value for each name.
    """
    return getattr(getattr(task, "func", None), "__name__", "") == "_execute_subgraph"


def dependencies_of(graph: Graph, wanted: Iterable[Key]) -> Dependencies:
    """Return the direct dependencies of the wanted tasks and of all tasks that they need.

    Keys that are not in the graph (they name results on a cluster) have no dependencies.
    """
    dependencies: Dependencies = {}
    stack = list(wanted)
    while stack:
        key = stack.pop()
        if key not in dependencies:
            dependencies[key] = _needed_by(graph, key)
            stack.extend(dependencies[key])
    return dependencies


def _needed_by(graph: Graph, key: Key) -> frozenset[Key]:
    task = graph.get(key)
    if isinstance(task, GraphNode):
        return frozenset(task.dependencies)
    if key not in graph or is_future(task):
        return frozenset()
    return frozenset(get_dependencies(graph, key))  # a legacy task of Dask: a tuple


def reachable(dependencies: Mapping[Key, Iterable[Key]], keys: Iterable[Key]) -> Iterator[Key]:
    """Yield the given keys, and all keys that they depend on, directly or not."""
    seen: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            yield key
            stack.extend(dependencies[key])


def is_future(value: Any) -> bool:
    """Return whether a value of a graph is a future: a result on a cluster."""
    return _is_of_futures(type(value))


def futures_of(graph: Mapping[Key, Any]) -> Graph:
    """Return the futures in a graph, by key."""
    # Check each type once: a graph has many values, but few types.
    kinds = {kind for kind in set(map(type, graph.values())) if _is_of_futures(kind)}
    return {key: value for key, value in graph.items() if type(value) in kinds} if kinds else {}


def _is_of_futures(kind: type) -> bool:
    # Checked by name, so that this module does not have to import distributed.
    return kind.__module__.startswith("distributed.") and hasattr(kind, "status")


def independent(
    dependencies: Dependencies, outputs: Sequence[tuple[Key, ...]], shared: Iterable[Key]
) -> bool:
    """Return whether the columns of the first or last block come from different sources.

    If they do, equal numbers of blocks do not imply that the blocks hold the same rows.
    """
    common = set(shared)
    for keys in {outputs[0], outputs[-1]} if outputs else ():
        first, *others = ({*reachable(dependencies, [key])} - common for key in keys)
        if any(first.isdisjoint(each) for each in others):
            return True
    return False


def shuffled_separately(
    graph: Graph, dependencies: Dependencies, columns: Sequence[Sequence[Key]]
) -> bool:
    """Return whether the rows of collections are ordered by different shuffles.

    Parameters
    ----------
    graph, dependencies : dict
        All tasks by key, and the dependencies of each task.
    columns : sequence of sequence of key
        Keys of the blocks of each collection; an empty sequence for data in memory.
    """
    if _split_differently(dependencies, columns):
        return True
    barriers = {key for key in dependencies if _leaves_order_to_chance(graph, key)}
    if not barriers:
        return False
    orders = [_last_shuffles(dependencies, keys, barriers) for keys in columns]
    if not any(orders):
        # There is only one partition, or the shuffle belongs to a value that all blocks share.
        found = [barriers.intersection(reachable(dependencies, keys)) for keys in columns]
        orders = [each for each in found if each]
    # A merge shuffles both of its inputs: collections that share only one of these two shuffles
    # are not in the same order.
    return any(each != orders[0] for each in orders[1:])


def _split_differently(dependencies: Dependencies, columns: Sequence[Sequence[Key]]) -> bool:
    """Return whether task-based shuffles were given different input partitions.

    A task-based shuffle is deterministic, but its order of rows depends on its input partitions.
    The partitions of Parquet files depend on which columns are read.
    """
    if not any(map(_is_task_shuffle, dependencies)):
        return False
    found = [_task_shuffles(dependencies, keys) for keys in columns]
    found = [each for each in found if each]
    return any(each != found[0] for each in found[1:])


def _task_shuffles(dependencies: Dependencies, keys: Sequence[Key]) -> list[int]:
    """Return the number of input partitions of each task-based shuffle of the rows of blocks."""
    needed = set(reachable(dependencies, keys))
    common = _common(dependencies, keys, needed)
    on_path: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in on_path or (key in common and not _is_task_shuffle(key)):
            continue
        on_path.add(key)
        if _is_task_shuffle(key):
            on_path.update(reachable(dependencies, [key]))
        else:
            stack.extend(dependencies[key])
    inputs: dict[str, set[Key]] = {}
    for key in filter(_is_task_shuffle, on_path):
        token = _name(key).rpartition("-")[2]
        given = inputs.setdefault(token, set())
        given.update(each for each in dependencies[key] if token not in _name(each))
    return sorted(map(len, inputs.values()))


def _last_shuffles(dependencies: Dependencies, keys: Sequence[Key], barriers: set[Key]) -> set[Key]:
    """Return the shuffles that blocks take their rows from: the last one on each path.

    A task that all blocks need computes a shared value (the mean of another frame, for example),
    which does not order the rows.
    """
    common = _common(dependencies, keys, set(reachable(dependencies, keys)))
    seen: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            if is_barrier(key) and key not in barriers:
                # A P2P rechunk of an array: each new chunk needs all that the old chunks need.
                seen.update(reachable(dependencies, [key]))
            elif key not in common and key not in barriers:
                stack.extend(dependencies[key])
    return seen & barriers


def _common(dependencies: Dependencies, keys: Sequence[Key], needed: set[Key]) -> set[Key]:
    """Return the keys that all blocks need; none if there is only one block."""
    part = {key: dependencies[key] for key in needed}
    outputs = [(key,) for key in keys]
    return set(sharing(part, outputs, many=max(1, len(keys) - 1)).shared)


def p2p_outputs(dependencies: Dependencies) -> list[Key]:
    """Return the keys of the tasks that output the rows of a P2P shuffle.

    These rows are available only while the scheduler runs the shuffle.
    """
    return [
        key
        for key, needed in dependencies.items()
        if any(_name(each).startswith(P2P_BARRIER) for each in needed)
    ]


def _leaves_order_to_chance(graph: Graph, key: Key) -> bool:
    if not is_barrier(key):
        return False
    # A P2P rechunk of an array has a barrier too, but each part has a fixed place in the result.
    return type(getattr(graph.get(key), "spec", None)).__name__ != "ArrayRechunkSpec"


def is_barrier(key: Key) -> bool:
    """Return whether a key names a task that waits until a shuffle has all rows."""
    return _name(key).startswith((P2P_BARRIER, _DISK_BARRIER))


def is_of_shuffle(key: Key) -> bool:
    """Return whether a key names the barrier of a shuffle, or a task of a task-based shuffle."""
    return is_barrier(key) or _is_task_shuffle(key)


def _is_task_shuffle(key: Key) -> bool:
    return _TASK_SHUFFLE in _name(key)


def _name(key: Key) -> str:
    return str(key[0] if isinstance(key, tuple) else key)
