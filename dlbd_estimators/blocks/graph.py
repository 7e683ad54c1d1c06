"""What a Dask graph shows about blocks: what each needs, and what orders their rows.

Pure questions about tasks and their dependencies; nothing is run here.
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

#: Begins the keys of the tasks that wait until a shuffle between workers has all rows.
P2P_BARRIER = "shuffle-barrier-"
_DISK_BARRIER = "barrier-"
#: Is in the keys of a shuffle by tasks alone, before its token.
_TASK_SHUFFLE = "taskshuffle-"


def is_fused(task: Any) -> bool:
    """Tell whether Dask's optimisation has joined several tasks to this one.

    Its arguments are these tasks, the key of the last one, names, and a value for each name.
    """
    return getattr(getattr(task, "func", None), "__name__", "") == "_execute_subgraph"


def dependencies_of(graph: Graph, wanted: Iterable[Key]) -> Dependencies:
    """Return what each task depends on, of all that the wanted tasks need.

    Keys that the graph does not hold (they name results that lie on a cluster) depend on nothing.
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
    return frozenset(get_dependencies(graph, key))  # a task of Dask's older form: a tuple


def reachable(dependencies: Mapping[Key, Iterable[Key]], keys: Iterable[Key]) -> Iterator[Key]:
    """Yield all that some tasks need, themselves included."""
    seen: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            yield key
            stack.extend(dependencies[key])


def is_future(value: Any) -> bool:
    """Tell whether a value of a graph is a result on a cluster."""
    return _is_of_futures(type(value))


def futures_of(graph: Mapping[Key, Any]) -> Graph:
    """Return the values of a graph that are results on a cluster, by key."""
    # Of many tasks there are few kinds.
    kinds = {kind for kind in set(map(type, graph.values())) if _is_of_futures(kind)}
    return {key: value for key, value in graph.items() if type(value) in kinds} if kinds else {}


def _is_of_futures(kind: type) -> bool:
    # The name alone tells it, so that this module works where distributed is not imported.
    return kind.__module__.startswith("distributed.") and hasattr(kind, "status")


def independent(
    dependencies: Dependencies, outputs: Sequence[tuple[Key, ...]], shared: Iterable[Key]
) -> bool:
    """Tell whether the parts of some block come from different sources.

    Then as many blocks of each are no sign that these hold the same rows.
    """
    common = set(shared)
    for keys in {outputs[0], outputs[-1]} if outputs else ():
        first, *others = ({*reachable(dependencies, [key])} - common for key in keys)
        if any(first.isdisjoint(each) for each in others):
            return True
    return False


def shuffled_apart(
    graph: Graph, dependencies: Dependencies, columns: Sequence[Sequence[Key]]
) -> bool:
    """Tell whether collections do not share the shuffles that decide the order of their rows.

    Parameters
    ----------
    graph, dependencies : dict
        Of all tasks.
    columns : sequence of sequence of key
        Blocks of each collection; none for what is in memory.
    """
    if _cut_apart(dependencies, columns):
        return True
    barriers = {key for key in dependencies if _leaves_order_to_chance(graph, key)}
    if not barriers:
        return False
    orders = [_last_shuffles(dependencies, keys, barriers) for keys in columns]
    if not any(orders):
        # All blocks take their rows from one partition, or a number that all share was shuffled.
        found = [barriers.intersection(reachable(dependencies, keys)) for keys in columns]
        orders = [each for each in found if each]
    # A merge shuffles both of its sides: to share one of them is not to share the order.
    return any(each != orders[0] for each in orders[1:])


def _cut_apart(dependencies: Dependencies, columns: Sequence[Sequence[Key]]) -> bool:
    """Tell whether shuffles by tasks alone were given different partitions.

    They leave nothing to chance, but put rows into an order that depends on the partitions they
    began with. Those of Parquet files depend on which columns are read.
    """
    if not any(map(_is_task_shuffle, dependencies)):
        return False
    found = [_task_shuffles(dependencies, keys) for keys in columns]
    found = [each for each in found if each]
    return any(each != found[0] for each in found[1:])


def _task_shuffles(dependencies: Dependencies, keys: Sequence[Key]) -> list[int]:
    """Return of how many partitions the rows of blocks were shuffled by tasks, each time."""
    needed = set(reachable(dependencies, keys))
    common = _common(dependencies, keys, needed)
    way: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in way or (key in common and not _is_task_shuffle(key)):
            continue
        way.add(key)
        if _is_task_shuffle(key):
            way.update(reachable(dependencies, [key]))
        else:
            stack.extend(dependencies[key])
    inputs: dict[str, set[Key]] = {}
    for key in filter(_is_task_shuffle, way):
        token = _name(key).rpartition("-")[2]
        given = inputs.setdefault(token, set())
        given.update(each for each in dependencies[key] if token not in _name(each))
    return sorted(map(len, inputs.values()))


def _last_shuffles(dependencies: Dependencies, keys: Sequence[Key], barriers: set[Key]) -> set[Key]:
    """Return the shuffles that blocks take their rows from, the last one on each way.

    What all blocks need is a number (the mean of another frame, say), and does not order the rows.
    """
    common = _common(dependencies, keys, set(reachable(dependencies, keys)))
    seen: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            if is_barrier(key) and key not in barriers:
                # Each block of an array that was cut anew needs all that it was cut of.
                seen.update(reachable(dependencies, [key]))
            elif key not in common and key not in barriers:
                stack.extend(dependencies[key])
    return seen & barriers


def _common(dependencies: Dependencies, keys: Sequence[Key], needed: set[Key]) -> set[Key]:
    """Return what all blocks need, or all but one."""
    part = {key: dependencies[key] for key in needed}
    outputs = [(key,) for key in keys]
    return set(sharing(part, outputs, many=max(1, len(keys) - 1)).shared)


def p2p_outputs(dependencies: Dependencies) -> list[Key]:
    """Return the tasks that hand out the rows of a shuffle between workers.

    They find these rows only while the scheduler runs the shuffle.
    """
    return [
        key
        for key, needed in dependencies.items()
        if any(_name(each).startswith(P2P_BARRIER) for each in needed)
    ]


def _leaves_order_to_chance(graph: Graph, key: Key) -> bool:
    if not is_barrier(key):
        return False
    # Workers exchange the parts of an array in the same way, but know where each belongs.
    return type(getattr(graph.get(key), "spec", None)).__name__ != "ArrayRechunkSpec"


def is_barrier(key: Key) -> bool:
    """Tell whether a key is that of a task that waits until a shuffle has all rows."""
    return _name(key).startswith((P2P_BARRIER, _DISK_BARRIER))


def is_of_shuffle(key: Key) -> bool:
    """Tell whether a key is that of a task of a shuffle, of those that tell shuffles apart."""
    return is_barrier(key) or _is_task_shuffle(key)


def _is_task_shuffle(key: Key) -> bool:
    return _TASK_SHUFFLE in _name(key)


def _name(key: Key) -> str:
    return str(key[0] if isinstance(key, tuple) else key)
