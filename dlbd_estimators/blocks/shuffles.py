"""Shuffles of Dask data frames, made to give the same rows in the same order at each reading.

Dask leaves the order of the rows that a shuffle brings together to chance: which thread or worker
was first. Blocks that are read again, or by another fit, would get other rows at the same place,
and rows that a split has set apart would mix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from dask.base import get_scheduler
from dask.task_spec import Alias, Task, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Graph, is_barrier, is_fused

#: Functions whose tasks hand out the rows that a shuffle has brought together, in no fixed order.
_UNORDERED = {"collect", "shuffle_unpack", "merge_unpack"}
#: Begins the keys that these tasks get.
_MOVED = "unordered-"


def with_lasting_names(graph: Graph) -> Graph:
    """Name the tasks of shuffles by way of the disk after what they shuffle.

    Dask gives them other names each time, so that a cluster cannot take an old shuffle's files for
    a new one's. In this process no task outlives its computation, and frames that came here in two
    calls have to share a shuffle.
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
    """Rename keys in a task of Dask's older form, of tuples and lists."""
    if isinstance(task, tuple):
        return names[task] if _is_among(task, names) else tuple(_renamed(x, names) for x in task)
    return [_renamed(each, names) for each in task] if isinstance(task, list) else task


def _is_among(key: Any, names: dict[Any, Any]) -> bool:
    """Tell whether something is a key of ``names``; also if it cannot be hashed."""
    try:
        return key in names
    except TypeError:  # not hashable: no key
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
        A graph with the same keys.
    """
    if not any(map(is_barrier, graph)):
        return graph
    graph = _unfused(graph)
    moved: Graph = {
        key: (f"{_MOVED}{key[0]}", *key[1:])
        for key, task in graph.items()
        if isinstance(key, tuple) and _is_unordered(task) and not _is_moved(key)
    }
    brought = {new: _with_key(graph[key], new) for key, new in moved.items()}
    ordering = {key: Task(key, ordered, TaskRef(new)) for key, new in moved.items()}
    return {**graph, **brought, **ordering}


def _unfused(graph: Graph) -> Graph:
    """Take those tasks apart again that Dask's optimisation has joined with a shuffle's.

    It may have joined joined tasks: what was an array in between is optimised twice.
    """
    while any(is_fused(task) and _hides_unordered(task) for task in graph.values()):
        graph = _one_level_unfused(graph)
    return graph


def _hides_unordered(task: Any) -> bool:
    """Tell whether a task, or one inside it, hands out shuffled rows."""
    if is_fused(task):
        return any(map(_hides_unordered, task.args[0].values()))
    return _is_unordered(task)


def _one_level_unfused(graph: Graph) -> Graph:
    parts: Graph = {}
    whole: Graph = {}
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
        whole[key] = Alias(key, last)
    # The last part may have the name that optimisation has made an alias of the whole.
    return {**graph, **whole, **parts}


def _same(value: Any) -> Any:
    return value


def _is_moved(key: Any) -> bool:
    return str(key[0]).startswith(_MOVED)


def _is_unordered(task: Any) -> bool:
    return _function_name(task) in _UNORDERED


def _function_name(task: Any) -> str:
    # Disk shuffles are written in Dask's older form: a tuple that begins with its function.
    function = task[0] if isinstance(task, tuple) and task else getattr(task, "func", None)
    return getattr(function, "__name__", "")


def _with_key(task: Any, key: Key) -> Any:
    return task if isinstance(task, tuple) else task.substitute({}, key=key)


def ordered(block: Any) -> Any:
    """Sort the rows of a pandas frame by a hash of their values, index included.

    Rows that are equal in all values are interchangeable: so this order depends on nothing but
    which rows there are. Values that cannot be hashed leave the order as it is.
    """
    try:
        hashes = pd.util.hash_pandas_object(block, index=True)
    except TypeError:
        return block
    return block.iloc[np.argsort(hashes.to_numpy(), kind="stable")]
