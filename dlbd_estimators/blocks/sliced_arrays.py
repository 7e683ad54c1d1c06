"""Take the slices that blocks need of large arrays in memory before tasks are sent.

A slice is then sent with each block instead of the whole array. Only the slicing is done here: a
user's function of a slice runs where the block is read.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from dask.array import chunk
from dask.array.core import getter, getter_inline, getter_nofancy
from dask.task_spec import DataNode, GraphNode, Task, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Dependencies, Graph, is_fused

#: Functions that return a part of their first argument.
_SLICING = (getter, getter_inline, getter_nofancy, chunk.getitem, operator.getitem)


def preslice_arrays(
    graph: Graph, dependencies: Dependencies, shared: set[Key], large: int
) -> Graph:
    """Return tasks that hold slices of large arrays instead of the arrays.

    A task is left out if its slice is not smaller than the array (rows taken by their numbers, for
    example).

    Parameters
    ----------
    graph, dependencies : dict
        All tasks by key, and the dependencies of each task.
    shared : set of key
        Keys of the values that most blocks need.
    large : int
        Size in bytes from which shared arrays are large.

    Returns
    -------
    dict
        The new tasks, by the keys of the tasks that they replace.
    """
    values = {key: getattr(graph[key], "value", graph[key]) for key in shared}
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    found: Graph = {}
    for key, needed in dependencies.items():
        size = sum(arrays[each].nbytes for each in needed if each in arrays)
        if key in shared or size < large:
            continue
        task = _preslice(graph[key], arrays, size)
        if task is not None:
            found[key] = task
    return found


def _preslice(task: Any, arrays: Mapping[Key, Any], size: int) -> GraphNode | None:
    """Return a task with slices in place of arrays, or None if it does not begin with a slice."""
    if _is_slicing(task) and task.dependencies <= arrays.keys():
        return _smaller({task.key: task(arrays)}, size).get(task.key)
    if not is_fused(task):
        return None
    tasks, last, names, *values = task.args
    given = dict(zip(names, values, strict=True))
    known = {
        name: arrays[value.key] if isinstance(value, TaskRef) else _value(value)
        for name, value in given.items()
        if not isinstance(value, GraphNode | TaskRef)
        or (isinstance(value, TaskRef) and value.key in arrays)
        or (isinstance(value, GraphNode) and not value.dependencies)
    }
    parts = {
        name: each(known)
        for name, each in tasks.items()
        if _is_slicing(each) and each.dependencies <= known.keys()
    }
    sliced = _smaller(parts, size)
    if not sliced:
        return None
    tasks = {**tasks, **sliced}
    needed = set().union(*(each.dependencies for each in tasks.values())) - tasks.keys()
    names = tuple(name for name in names if name in needed)
    return Task(task.key, task.func, tasks, last, names, *(given[name] for name in names))


def _is_slicing(task: Any) -> bool:
    return getattr(task, "func", None) in _SLICING


def _value(value: Any) -> Any:
    return value({}) if isinstance(value, GraphNode) else value


def _smaller(parts: Mapping[Key, Any], size: int) -> dict[Key, DataNode]:
    """Return slices as nodes of a graph; none if together they are not smaller than ``size``."""
    if sum(getattr(part, "nbytes", size) for part in parts.values()) >= size:
        return {}
    return {name: DataNode(name, part) for name, part in parts.items()}
