"""Compute a few keys of a Dask graph in the calling thread.

A block takes two or three tasks. Dask's own scheduler orders and tracks these as it does for large
graphs, which takes longer than computing most blocks of modest size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dask
from dask.array.core import getter
from dask.optimization import cull
from dask.task_spec import DataNode, GraphNode, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Dependencies, Graph, dependencies_of, is_fused
from dlbd_estimators.blocks.reused_memory import empty
from dlbd_estimators.blocks.zarr_chunks import read_chunks


def compute(graph: Graph, keys: Sequence[Key]) -> list[Any]:
    """Return the values of keys, running only the tasks that they need.

    An intermediate value is released as soon as no other task needs it.

    Parameters
    ----------
    graph : dict
        Tasks by key. It may hold tasks that are not needed.
    keys : sequence of key
        Keys to compute.
    """
    dependencies = dependencies_of(graph, keys)
    if not all(isinstance(graph[key], GraphNode) for key in dependencies):
        # The graph holds legacy tasks (tuples) or plain values, which Dask knows how to run.
        return list(dask.get(cull(graph, list(keys))[0], list(keys)))
    return _run_all(graph, dependencies, keys)


def _run_all(graph: Graph, dependencies: Dependencies, keys: Sequence[Key]) -> list[Any]:
    """Run tasks, each after its dependencies; return the values of ``keys``."""
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
    """Run a task, given the values of its dependencies."""
    if not is_fused(task):
        rows = _read_into_reused_memory(task, values)
        return task(values) if rows is None else rows
    # A fused task: Dask would order its inner tasks again for each block.
    inner, last, names, *given = task.args
    inputs = {
        name: DataNode(name, _value(each, values)) for name, each in zip(names, given, strict=True)
    }
    graph = {**inner, **inputs}
    (value,) = _run_all(graph, dependencies_of(graph, [last]), [last])
    return value


def _read_into_reused_memory(task: Any, values: Graph) -> Any:
    """Return the rows that a task reads, or None if the task has to run.

    A function that reads a block may have a method ``read_block_into``. It takes the same
    arguments, and a function like ``np.empty`` that returns the memory for the rows.
    """
    function = getattr(task, "func", None)
    read_into: Any = getattr(function, "read_block_into", None)
    # With more arguments, `getter` has to read under a lock, or to keep the array's type.
    takes_slice = function is getter and len(task.args) == 2
    if not (takes_slice or callable(read_into)) or task.kwargs:
        return None
    arguments = [_value(argument, values) for argument in task.args]
    return read_chunks(*arguments) if takes_slice else read_into(*arguments, empty)


def _value(argument: Any, values: Graph) -> Any:
    if isinstance(argument, TaskRef):
        return values[argument.key]
    return argument(values) if isinstance(argument, GraphNode) else argument


def _in_order(dependencies: Dependencies, keys: Sequence[Key]) -> list[Key]:
    """Return keys in depth-first order, each key after its dependencies."""
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
