"""Computing a few parts of a Dask graph in the calling thread.

A block is two or three tasks. Dask's own scheduler would plan, number and watch them as if they
were many, which takes longer than most blocks of modest size take to make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dask
from dask.optimization import cull
from dask.task_spec import DataNode, GraphNode, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Dependencies, Graph, dependencies_of, is_fused


def compute(graph: Graph, keys: Sequence[Key]) -> list[Any]:
    """Run what some keys need, and nothing else; return their values.

    A value that is not asked for is let go as soon as no task needs it any more.

    Parameters
    ----------
    graph : dict
        Tasks by key, of these and of any others.
    keys : sequence of key
        What to compute.
    """
    dependencies = dependencies_of(graph, keys)
    if not all(isinstance(graph[key], GraphNode) for key in dependencies):
        # Tasks of Dask's older form, and values as they are: Dask knows how to read them.
        return list(dask.get(cull(graph, list(keys))[0], list(keys)))
    return _run_all(graph, dependencies, keys)


def _run_all(graph: Graph, dependencies: Dependencies, keys: Sequence[Key]) -> list[Any]:
    """Run tasks, each after those that it depends on; return the values of some."""
    uses = Counter(keys)
    for each in dependencies.values():
        uses.update(each)
    values: Graph = {}
    for key in _in_order(dependencies, keys):
        values[key] = _run(graph[key], values)
        for needed in dependencies[key]:
            uses[needed] -= 1
            if not uses[needed]:
                del values[needed]
    return [values[key] for key in keys]


def _run(task: Any, values: Graph) -> Any:
    """Run a task, given the values of those that it depends on."""
    if not is_fused(task):
        return task(values)
    # Dask would plan the tasks in it anew for each block.
    inner, last, names, *given = task.args
    inputs = {
        name: DataNode(name, _value(each, values)) for name, each in zip(names, given, strict=True)
    }
    graph = {**inner, **inputs}
    (value,) = _run_all(graph, dependencies_of(graph, [last]), [last])
    return value


def _value(argument: Any, values: Graph) -> Any:
    if isinstance(argument, TaskRef):
        return values[argument.key]
    return argument(values) if isinstance(argument, GraphNode) else argument


def _in_order(dependencies: Dependencies, keys: Sequence[Key]) -> list[Key]:
    """Order keys so that each comes after those it depends on, one branch after the other."""
    order: dict[Key, None] = {}
    stack = [*reversed(keys)]
    while stack:
        key = stack[-1]
        missing = [each for each in dependencies[key] if each not in order]
        if missing:
            stack += missing
        else:
            order[stack.pop()] = None
    return list(order)
