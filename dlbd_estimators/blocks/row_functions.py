"""Run consecutive functions of rows together, tile by tile, and in place if possible.

If a block of 32 MiB is imputed and scaled by one NumPy call after another, each call reads the
whole block from main memory, and most calls allocate a new block. A tile stays in the processor's
cache for all calls.
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

from dlbd_estimators.blocks.checks import CheckedFunction, Promised
from dlbd_estimators.blocks.compute import compute
from dlbd_estimators.blocks.graph import Graph, is_fused
from dlbd_estimators.blocks.reused_memory import owns_memory

#: Changes a tile in place. Arguments: the tile, the number of its first row in the block, and
#: whether it is known from an earlier change that the tile has no infinite values. Returns whether
#: that is known after this change.
Change = Callable[[NDArray[Any], int, bool], bool]

#: A graph, or several graphs in which a key is looked up one after the other.
_Lookup = MutableMapping[Key, Any]

_TILE_NBYTES = 2**20


class Steps:
    """Apply functions of rows, one after the other.

    Parameters
    ----------
    functions : sequence of callable
        Each takes a block, returns the same number of rows, and does not change the block. A
        function may have a method ``change(dtype, n_columns)``. It returns a :data:`Change` that
        does the same in place, bit for bit, to a tile of this dtype and number of columns; or None.
    """

    def __init__(self, functions: Sequence[Callable[[Any], Any]]) -> None:
        self.functions = tuple(functions)
        self.__name__ = getattr(
            self.functions[-1], "__name__", type(self.functions[-1]).__name__.lower()
        )

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, normalize_token(self.functions)

    def __call__(self, block: Any, *, overwrite: bool = False) -> Any:
        """Apply all functions to a block, which is changed only with ``overwrite``."""
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


def fuse_with_previous(
    X: da.Array, function: Callable[[Any], Any]
) -> tuple[da.Array, CheckedFunction[Any]]:
    """Return an array, and the function to map over its blocks to apply ``function`` to X.

    If X itself is the result of such a function of another array, that other array is returned, and
    a function that applies both functions.
    """
    layer = X.dask.layers.get(X.name)
    mapped = getattr(getattr(layer, "task", None), "func", None)
    if not (
        isinstance(layer, Blockwise)
        and isinstance(mapped, CheckedFunction)
        and isinstance(mapped.function, Steps)
        and isinstance(mapped.promised[0], Promised)
    ):
        return X, CheckedFunction(Steps([function]), X)
    (source, _), *_ = layer.indices
    promised = mapped.promised[0]
    meta = np.empty((0, *promised.shape), dtype=promised.dtype)
    before = da.Array(X.dask, source, (X.chunks[0], promised.shape[:1]), meta=meta)
    return before, CheckedFunction(Steps([*mapped.function.functions, function]), before)


def read_last_steps(graph: Graph, key: Key, others: list[Key]) -> Any:
    """Compute a block whose last task is :class:`Steps`, in the memory of their input if possible.

    Parameters
    ----------
    graph : dict
        Tasks that the block needs. It may hold tasks of other blocks.
    key : key
        Key of the block.
    others : list of key
        Other keys of the graph that will be computed.

    Returns
    -------
    ndarray or None
        None if the last task is not Steps, or if ``key`` and ``others`` need a common task, which
        would then run twice.
    """
    tasks, task = _last_task(graph, key)
    steps = getattr(task, "func", None)
    if not (isinstance(steps, CheckedFunction) and isinstance(steps.function, Steps)):
        return None
    if len(task.args) != 1 or task.kwargs or not isinstance(task.args[0], TaskRef):
        return None
    source = task.args[0].key
    part, _ = cull(tasks, [source])
    beside, _ = cull(tasks, others)
    if any(not isinstance(part[common], DataNode) for common in part.keys() & beside.keys()):
        return None
    (block,) = compute(part, [source])
    # Two references: the name here, and the argument of getrefcount. If there are more, something
    # else (a user's cache, for example) holds the block, and must not see it changed.
    overwrite = (
        isinstance(block, np.ndarray)
        and owns_memory(block)
        and block.flags.writeable
        and sys.getrefcount(block) == 2
    )
    return steps(block, overwrite=overwrite)


def _last_task(graph: _Lookup, key: Key) -> tuple[_Lookup, Any]:
    """Return the last task of a key, not fused with others, and a graph that has its inputs.

    Dask's optimisation fuses a task with the tasks before it, and may leave its key as an alias.
    Both are undone here, so that the last task can run separately. The graph is not copied: it may
    hold the tasks of all blocks, and most blocks have no such task.
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
    """Return a task that gives the value of an argument of a fused task."""
    if isinstance(value, TaskRef):
        return Alias(name, value.key)
    # The argument may be a task itself. Its dependencies are keys of the outer graph.
    return value if isinstance(value, GraphNode) else DataNode(name, value)
