"""Make the tasks of blocks when the blocks are read, from the Blockwise layers of their graph.

Dask stores most graphs of arrays as layers: one function for all blocks, and the inputs that it
takes for each block. A layer that is written out (materialised) holds the tasks of all blocks,
which costs time and memory before the first block is read. If each layer takes rows only from the
same block of earlier layers, blocks have nothing in common but constants, and no shared tasks have
to be searched for. A bundle of blocks then carries the layers, and writes out the tasks of its own
blocks, some blocks at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from threading import Lock
from typing import Any, NamedTuple

import dask.array as da
import dask.config
import numpy as np
from dask.blockwise import Blockwise, BlockwiseDep, BlockwiseDepDict, optimize_blockwise
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode, GraphNode, TaskRef
from dask.typing import Key

from dlbd_estimators.blocks.graph import Graph, is_future
from dlbd_estimators.blocks.task_loader import TaskLoader

#: Blocks in a group whose tasks are made together: one by one, this takes several times as long.
_GROUP_SIZE = 16
#: Groups whose tasks are kept: more than the threads work on at the same time.
_MOST_GROUPS = 64
#: An array of fewer bytes may be sent with every task that takes a slice of it.
LARGE_NBYTES = 2**18


class _Column(NamedTuple):
    """The keys of a collection: their name, and their chunk numbers after that of the row."""

    name: str
    rest: tuple[int, ...]


class _GroupCache:
    """The graphs that were made last, by the number of their group of blocks."""

    def __init__(self) -> None:
        self._made: dict[int, Graph] = {}
        self._lock = Lock()

    def get(self, number: int, make: Callable[[int], Graph]) -> Graph:
        graph = self._made.get(number)
        if graph is None:
            graph = make(number)
            with self._lock:
                self._made[number] = graph
                while len(self._made) > _MOST_GROUPS:
                    del self._made[next(iter(self._made))]
        return graph

    def __reduce__(self) -> Any:
        return _GroupCache, ()


@dataclass(frozen=True)
class RowLoader(TaskLoader):
    """Make the tasks of a block when it is read.

    Parameters
    ----------
    layers : dict of str to Blockwise
        Layers, by the name of their output.
    constants : dict
        Values that all blocks take, by key.
    materialized : dict of int to dict
        Tasks that Dask has written out already, by the number of their row of chunks.
    columns : tuple of _Column
        Collections that make up a block.
    rows : sequence or dict of int to int
        Number of the row of chunks of each block.
    """

    layers: Mapping[str, Blockwise]
    constants: Graph
    materialized: Mapping[int, Graph]
    columns: tuple[_Column, ...]
    rows: Sequence[int] | Mapping[int, int]
    _recent: _GroupCache = field(default_factory=_GroupCache, repr=False, compare=False)

    def part(self, index: int) -> tuple[Graph, Sequence[Key]]:
        return self._recent.get(index // _GROUP_SIZE, self._make), self._keys(index)

    def select(self, indices: Sequence[int]) -> RowLoader:
        rows = {index: self.rows[index] for index in indices}
        chosen = sorted(set(rows.values()))
        return replace(
            self,
            layers={name: _of_rows(layer, chosen) for name, layer in self.layers.items()},
            materialized={
                row: self.materialized[row] for row in chosen if row in self.materialized
            },
            rows=rows,
            _recent=_GroupCache(),
        )

    def _keys(self, index: int) -> list[Key]:
        """Return the keys of the tasks whose results are the columns of a block."""
        return [(each.name, self.rows[index], *each.rest) for each in self.columns]

    def _make(self, number: int) -> Graph:
        """Return the tasks of a group of blocks, without blocks that this loader cannot read."""
        numbers = range(number * _GROUP_SIZE, (number + 1) * _GROUP_SIZE)
        readable = self.rows if isinstance(self.rows, Mapping) else range(len(self.rows))
        graph: Graph = {}
        wanted = {key for index in numbers if index in readable for key in self._keys(index)}
        while wanted:
            by_layer: dict[str, set[Key]] = {}
            needed: set[Key] = set()
            for key in wanted:
                name = str(key[0] if isinstance(key, tuple) else key)
                if name in self.layers:
                    by_layer.setdefault(name, set()).add(key)
                else:
                    graph[key] = node = self._node(key)
                    needed |= node.dependencies
            for name, keys in by_layer.items():
                layer, inputs = self.layers[name].cull(keys, ())
                graph.update(layer)
                needed.update(*inputs.values())
            wanted = needed - graph.keys()
        return graph

    def _node(self, key: Key) -> GraphNode:
        node: GraphNode = (
            self.constants[key] if key in self.constants else self.materialized[_row(key)][key]
        )
        return node


def row_loader(arrays: Sequence[da.Array], rows: Sequence[int]) -> RowLoader | None:
    """Return a loader that makes the tasks of blocks when they are read, if that is possible.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        All with the same number of chunks of rows.
    rows : sequence of int
        Numbers of the chunks of rows that are blocks.

    Returns
    -------
    RowLoader or None
        None if blocks have more in common than constants, if an array has more than one chunk of
        columns, if some values are on a cluster, or if the user has chosen another optimisation of
        graphs.
    """
    if dask.config.get("array_optimize", None) is not None:
        return None
    if any(prod(array.numblocks[1:]) > 1 for array in arrays):
        return None
    graph = HighLevelGraph.merge(*(array.dask for array in arrays))
    graph = optimize_blockwise(graph, keys=[array.name for array in arrays])
    columns = tuple(_Column(array.name, (0,) * (array.ndim - 1)) for array in arrays)
    found = _LayerCollector(graph, {array.name for array in arrays}, arrays[0].numblocks[0])
    if not found.collect():
        return None
    return RowLoader(found.layers, found.constants, found.materialized, columns, rows)


class _LayerCollector:
    """Collect the layers that arrays depend on, as long as each takes rows of the same block.

    Parameters
    ----------
    graph : HighLevelGraph
        Graph of all arrays.
    names : set of str
        Names of the arrays.
    n_rows : int
        Number of chunks of rows.
    """

    def __init__(self, graph: HighLevelGraph, names: set[str], n_rows: int) -> None:
        self.layers: dict[str, Blockwise] = {}
        self.constants: Graph = {}
        self.materialized: dict[int, Graph] = {}
        self._graph = graph
        self._names = names
        self._n_rows = n_rows
        self._to_do = list(names)
        self._done: set[str] = set()

    def collect(self) -> bool:
        """Collect all layers; return whether blocks have nothing but constants in common."""
        while self._to_do:
            name = self._to_do.pop()
            if name in self._done:
                continue
            self._done.add(name)
            layer = self._graph.layers.get(name)
            if type(layer) is Blockwise and layer.output == name:
                if not self._takes_rows(layer):
                    return False
                self.layers[name] = _copy(layer, layer.io_deps)
            elif not (isinstance(layer, MaterializedLayer) and self._is_written(name, layer)):
                return False
        return True

    def _takes_rows(self, layer: Blockwise) -> bool:
        row = layer.output_indices[0]
        if layer.output_blocks or row in layer.new_axes:
            return False
        return all(
            self._is_constant_argument(argument)
            if indices is None
            else self._is_of_row(layer, str(argument), indices, row)
            for argument, indices in layer.indices
        )

    def _is_constant_argument(self, argument: Any) -> bool:
        if isinstance(argument, TaskRef):
            return self._is_constant(argument.key)
        return not (isinstance(argument, GraphNode) and argument.dependencies)

    def _is_of_row(self, layer: Blockwise, name: str, indices: tuple[str, ...], row: str) -> bool:
        if name in layer.io_deps:
            values = layer.io_deps[name]
            return not (values.produces_keys or values.produces_tasks) and indices.count(row) <= 1
        # An input with another number of chunks of rows is not taken row by row: if it has one
        # chunk, all blocks take the same.
        takes = indices[:1] == (row,) and row not in indices[1:]
        takes = takes and layer.numblocks[name][0] == self._n_rows
        self._to_do.append(name)
        return takes

    def _is_constant(self, key: Key) -> bool:
        """Return whether a key names a constant, and if so, add it to ``constants``."""
        layer = self._graph.layers.get(key) if isinstance(key, str) else None
        if not isinstance(layer, MaterializedLayer) or key not in layer:
            return False
        value = layer[key]
        value = value.value if isinstance(value, DataNode) else value
        # These may be other keys or legacy tasks of Dask, or may contain them.
        if isinstance(value, GraphNode | str | tuple | list | dict) or is_future(value):
            return False
        if isinstance(value, np.ndarray) and value.nbytes >= LARGE_NBYTES:
            return False
        self.constants[key] = DataNode(key, value)
        return True

    def _is_written(self, name: str, layer: MaterializedLayer) -> bool:
        """Return whether written-out tasks take rows of their block only; collect these tasks."""
        before: set[str] = set()
        for key, value in layer.items():
            task = DataNode(key, value) if isinstance(value, np.ndarray) else value
            if not (isinstance(task, GraphNode) and isinstance(key, tuple) and key[0] == name):
                return False
            for needed in task.dependencies:
                if isinstance(needed, tuple) and needed[1] == key[1]:
                    before.add(needed[0])
                elif needed not in self.constants and not self._is_constant(needed):
                    return False
            self.materialized.setdefault(_row(key), {})[key] = task
        self._to_do.extend(before)
        # Dask would fuse an input with the only task that needs it. If that task is a slice, it
        # would then read only the slice from a file: leave such graphs to Dask's optimisation.
        dependents = self._graph.dependents
        return all(each in self._names or len(dependents.get(each, ())) > 1 for each in before)


def _row(key: Any) -> int:
    """Return the number of the row of chunks that a key belongs to."""
    return int(key[1])


def _copy(layer: Blockwise, io_deps: Mapping[str, BlockwiseDep]) -> Blockwise:
    """Copy a layer with other ``io_deps``, without the written-out tasks that it may hold."""
    return Blockwise(
        layer.output,
        layer.output_indices,
        layer.task,
        layer.indices,
        layer.numblocks,
        concatenate=layer.concatenate,
        new_axes=layer.new_axes,
        io_deps=io_deps,
    )


def _of_rows(layer: Blockwise, rows: Iterable[int]) -> Blockwise:
    """Copy a layer with the arguments of the given rows of chunks only."""
    row, cut = layer.output_indices[0], dict(layer.io_deps)
    for name, indices in layer.indices:
        if not (isinstance(name, str) and name in cut and indices and row in indices):
            continue
        values, axis = cut[name], indices.index(row)
        counts = values.numblocks
        if counts[axis] > 1:  # otherwise the same for all rows
            before, after = map(range, counts[:axis]), map(range, counts[axis + 1 :])
            places = list(product(*before, rows, *after))
            cut[name] = BlockwiseDepDict({place: values[place] for place in places}, counts)
    return _copy(layer, cut)
