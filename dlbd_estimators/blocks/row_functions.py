"""Consecutive functions of rows as one, tile by tile, in a block's own memory where it is free.

Filling and scaling a block of 32 MiB with one NumPy call after another is a walk through memory for
each, and new memory for most. A tile stays in the processor's cache for all of them.
"""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.base import normalize_token
from dask.blockwise import Blockwise
from dask.optimization import cull
from dask.task_spec import Alias, DataNode, GraphNode, TaskRef
from dask.typing import Key
from numpy.typing import NDArray

from dlbd_estimators.blocks.checks import CheckedRows, Promised
from dlbd_estimators.blocks.compute import compute
from dlbd_estimators.blocks.graph import Graph, is_fused

#: Changes a tile in place, given the number of its first row in the block, and whether something
#: before has seen to it that the tile holds no infinity; returns whether that holds afterwards.
Change = Callable[[NDArray[Any], int, bool], bool]

#: A graph, or several in which a key is looked up one after the other.
_Lookup = MutableMapping[Key, Any]

_TILE_NBYTES = 2**20


class Steps:
    """Functions of rows, one after the other.

    Parameters
    ----------
    functions : sequence of callable
        Each takes a block and returns as many rows, and does not change the block. One that has a
        method ``change(dtype, n_columns)`` returns by it what does the same in place to a tile of
        such floats, bit for bit; or None.
    """

    def __init__(self, functions: Sequence[Callable[[Any], Any]]) -> None:
        self.functions = tuple(functions)
        self.__name__ = getattr(
            self.functions[-1], "__name__", type(self.functions[-1]).__name__.lower()
        )

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, normalize_token(self.functions)

    def __call__(self, block: Any, *, overwrite: bool = False) -> Any:
        """Run all functions on a block, which is changed only with ``overwrite``."""
        changes = self._changes(block)
        if changes is not None:
            return _by_tiles(changes, block, block if overwrite else np.empty_like(block))
        for function in self.functions:
            block = function(block)
        return block

    def _changes(self, block: Any) -> list[Change] | None:
        if not isinstance(block, np.ndarray) or block.ndim != 2 or block.dtype.kind != "f":
            return None
        found = []
        for function in self.functions:
            change = getattr(function, "change", None)
            change = None if change is None else change(block.dtype, block.shape[1])
            if change is None:
                return None
            found.append(change)
        return found


def _by_tiles(changes: list[Change], block: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    size = max(1, _TILE_NBYTES // max(1, block.itemsize * block.shape[1]))
    for start in range(0, len(block), size):
        tile = out[start : start + size]
        if out is not block:
            np.copyto(tile, block[start : start + size])
        finite = False
        for change in changes:
            finite = change(tile, start, finite)
    return out


def after(X: da.Array, function: Callable[[Any], Any]) -> tuple[da.Array, CheckedRows[Any]]:
    """Return an array and what to map its blocks with, for a function of the blocks of X.

    Where X is what such a function has made of another array, that is the other array, and both
    functions in a row.
    """
    layer = X.dask.layers.get(X.name)
    made = getattr(getattr(layer, "task", None), "func", None)
    if not (
        isinstance(layer, Blockwise)
        and isinstance(made, CheckedRows)
        and isinstance(made.function, Steps)
        and isinstance(made.promised[0], Promised)
    ):
        return X, CheckedRows(Steps([function]), X)
    (source, _), *_ = layer.indices
    promised = made.promised[0]
    meta = np.empty((0, *promised.shape), dtype=promised.dtype)
    before = da.Array(X.dask, source, (X.chunks[0], promised.shape[:1]), meta=meta)
    return before, CheckedRows(Steps([*made.function.functions, function]), before)


def read_last_steps(graph: Graph, key: Key, others: list[Key]) -> Any:
    """Compute a block whose last task is a chain of steps, in the memory of their input.

    Parameters
    ----------
    graph : dict
        Tasks that the block needs, and those of other blocks.
    key : key
        Of the block.
    others : list of key
        What else will be computed of the graph.

    Returns
    -------
    ndarray or None
        None where the last task is another, or a task would be run both for it and for the others.
    """
    tasks, task = _last_task(graph, key)
    steps = getattr(task, "func", None)
    if not (isinstance(steps, CheckedRows) and isinstance(steps.function, Steps)):
        return None
    if len(task.args) != 1 or task.kwargs or not isinstance(task.args[0], TaskRef):
        return None
    source = task.args[0].key
    part, _ = cull(tasks, [source])
    beside, _ = cull(tasks, others)
    if any(not isinstance(part[each], DataNode) for each in part.keys() & beside.keys()):
        return None
    (block,) = compute(part, [source])
    # Two references: the name here, and the argument. Whatever else holds the block, be it the
    # user's own cache, must find it as it was.
    overwrite = (
        isinstance(block, np.ndarray)
        and block.base is None
        and block.flags.writeable
        and sys.getrefcount(block) == 2
    )
    return steps(block, overwrite=overwrite)


def _last_task(graph: _Lookup, key: Key) -> tuple[_Lookup, Any]:
    """Return a graph in which the last task is one function's, and that task.

    Dask's optimisation joins a task with those before it, and may leave its name as an alias: to
    run it apart from them, they are taken apart again. The graph is looked up and not copied: it
    may be that of all blocks, and most have no such task.
    """
    task = graph[key]
    while isinstance(task, Alias) or is_fused(task):
        if isinstance(task, Alias):
            task = graph[task.target]
            continue
        inner, last, names, *values = task.args
        inputs = {
            name: _input(name, value)
            for name, value in zip(names, values, strict=True)
            if not (isinstance(value, TaskRef) and value.key == name)
        }
        graph = ChainMap(inner, inputs, graph)
        task = inner[last]
    return graph, task


def _input(name: Key, value: Any) -> GraphNode:
    """Return a task that gives the value of a joined task's argument."""
    if isinstance(value, TaskRef):
        return Alias(name, value.key)
    # A task in its turn, which may need others: they are keys of the graph around it.
    return value if isinstance(value, GraphNode) else DataNode(name, value)
