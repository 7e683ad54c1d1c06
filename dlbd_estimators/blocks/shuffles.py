"""Make shuffles of Dask data frames give the same rows in the same order at each reading.

Dask leaves the order of the rows that a shuffle collects to chance: which thread or worker was
first. Without a fixed order, blocks that are read again, or by another fit, would have other rows
at the same positions, and training and test rows of a split would mix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from dask.base import get_scheduler
from dask.task_spec import Alias, Task, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Graph, is_barrier, is_fused

#: Names of the functions whose tasks output the rows that a shuffle collects, in no fixed order.
_UNORDERED = {"collect", "shuffle_unpack", "merge_unpack"}
#: Prefix of the new keys of these tasks.
_MOVED = "unordered-"


def with_lasting_names(graph: Graph) -> Graph:
    """Give the tasks of disk-based shuffles names that depend only on the data they shuffle.

    Dask gives them new names each time, so that a cluster does not mistake the files of an old
    shuffle for those of a new one. In this process no task outlives its computation, and frames
    that are passed in two calls have to share a shuffle.
    """
    if getattr(get_scheduler(), "__self__", None) is not None:  # a cluster's client
        return graph
    tokens = {
        str(task[1][0]).removeprefix("zpartd-"): key[0]
        for key, task in graph.items()
        if isinstance(key, tuple) and isinstance(task, tuple) and _is_unordered(task)
    }
    names: dict[Any, Any] = {}
    for key in graph:
        if isinstance(key, tuple):
            prefix, dash, token = str(key[0]).rpartition("-")
            if token in tokens:
                names[key] = (f"{prefix}{dash}{tokens[token]}", *key[1:])
    return {names.get(key, key): _renamed(task, names) for key, task in graph.items()}


def _renamed(task: Any, names: dict[Any, Any]) -> Any:
    """Rename keys in a legacy task of Dask, which consists of tuples and lists."""
    if isinstance(task, tuple):
        return names[task] if _is_among(task, names) else tuple(_renamed(x, names) for x in task)
    return [_renamed(each, names) for each in task] if isinstance(task, list) else task


def _is_among(key: Any, names: dict[Any, Any]) -> bool:
    """Return whether an object is a key of ``names``; False if it cannot be hashed."""
    try:
        return key in names
    except TypeError:  # not hashable
        return False


def in_fixed_order(graph: Graph) -> Graph:
    """Put the rows of shuffled partitions into an order that does not depend on chance.

    Parameters
    ----------
    graph : dict
        Tasks by key.

    Returns
    -------
    dict
        A graph with the same keys, and a new key for each task that outputs unordered rows.
    """
    if not any(map(is_barrier, graph)):
        return graph
    graph = _unfused(graph)
    moved: Graph = {
        key: (f"{_MOVED}{key[0]}", *key[1:])
        for key, task in graph.items()
        if isinstance(key, tuple) and _is_unordered(task) and not _is_moved(key)
    }
    unordered = {new: _with_key(graph[key], new) for key, new in moved.items()}
    ordering = {key: Task(key, ordered, TaskRef(new)) for key, new in moved.items()}
    return {**graph, **unordered, **ordering}


def _unfused(graph: Graph) -> Graph:
    """Undo the fusion of tasks that output shuffled rows with other tasks.

    A fused task may contain fused tasks: a frame made from an array that was made from a frame is
    optimised twice.
    """
    while any(is_fused(task) and _hides_unordered(task) for task in graph.values()):
        graph = _one_level_unfused(graph)
    return graph


def _hides_unordered(task: Any) -> bool:
    """Return whether a task, or a task fused into it, outputs shuffled rows."""
    if is_fused(task):
        return any(map(_hides_unordered, task.args[0].values()))
    return _is_unordered(task)


def _one_level_unfused(graph: Graph) -> Graph:
    parts: Graph = {}
    aliases: Graph = {}
    for key, task in graph.items():
        if not is_fused(task):
            continue
        inner, last, names, *values = task.args
        if not any(map(_hides_unordered, inner.values())):
            continue
        outside: dict[Any, Any] = {}
        for name, value in zip(names, values, strict=True):
            outside[name] = value.key if isinstance(value, TaskRef) else (f"{key}-given", name)
            if not isinstance(value, TaskRef):  # a list of keys, for example
                parts[outside[name]] = Task(outside[name], _same, value)
        parts |= {each: part.substitute(outside) for each, part in inner.items()}
        aliases[key] = Alias(key, last)
    # `parts` last: the key of the last inner task may be an alias of the fused task in `graph`.
    return {**graph, **aliases, **parts}


def _same(value: Any) -> Any:
    return value


def _is_moved(key: Any) -> bool:
    return str(key[0]).startswith(_MOVED)


def _is_unordered(task: Any) -> bool:
    return _function_name(task) in _UNORDERED


def _function_name(task: Any) -> str:
    # Disk-based shuffles have legacy tasks: tuples whose first item is the function.
    function = task[0] if isinstance(task, tuple) and task else getattr(task, "func", None)
    return getattr(function, "__name__", "")


def _with_key(task: Any, key: Key) -> Any:
    return task if isinstance(task, tuple) else task.substitute({}, key=key)


def ordered(block: Any) -> Any:
    """Sort the rows of a pandas frame by a hash of their values, index included.

    Rows that are equal in all values are interchangeable, so the result depends only on which rows
    there are. If a value cannot be hashed, the order is not changed.
    """
    try:
        hashes = pd.util.hash_pandas_object(block, index=True)
    except TypeError:
        return block
    return block.iloc[np.argsort(hashes.to_numpy(), kind="stable")]
