"""Blocks whose tasks are made when they are read: graphs that say how, and hold no task a block.

Dask writes most graphs of arrays as layers: one function for all blocks, and what it takes of each.
Written out, each block is some tasks, which costs time and memory for every one of them before the
first is read. Where each layer takes rows from the same block of the layers before it alone, blocks
have nothing in common but constants. Then there is nothing to look for in the graph, and a bundle
carries the layers and writes out its own blocks, some at a time.
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

#: Blocks whose tasks are made at once: one by one, each would take several times as long.
_AT_ONCE = 16
#: So many times these are remembered: more than threads work on at a time.
_REMEMBERED = 64
#: An array smaller than this may travel with every task that takes a slice of it.
LARGE_NBYTES = 2**18


class _Column(NamedTuple):
    """A collection: the name of its keys, and their numbers after that of the row."""

    name: str
    rest: tuple[int, ...]


class _Recent:
    """The graphs that were made last, by number."""

    def __init__(self) -> None:
        self._made: dict[int, Graph] = {}
        self._lock = Lock()

    def get(self, number: int, make: Callable[[int], Graph]) -> Graph:
        graph = self._made.get(number)
        if graph is None:
            graph = make(number)
            with self._lock:
                self._made[number] = graph
                while len(self._made) > _REMEMBERED:
                    del self._made[next(iter(self._made))]
        return graph

    def __reduce__(self) -> Any:
        return _Recent, ()


@dataclass(frozen=True)
class RowLoader(TaskLoader):
    """Makes the tasks of a block when it is read.

    Parameters
    ----------
    layers : dict of str to Blockwise
        Functions of blocks, by the name of what they make.
    constants : dict
        Values that all blocks take, by key.
    written : dict of int to dict
        Tasks that Dask has written out already, by the number of their row of chunks.
    columns : tuple of _Column
        What makes up a block.
    rows : sequence or dict of int to int
        Row of chunks that each block is.
    """

    layers: Mapping[str, Blockwise]
    constants: Graph
    written: Mapping[int, Graph]
    columns: tuple[_Column, ...]
    rows: Sequence[int] | Mapping[int, int]
    _recent: _Recent = field(default_factory=_Recent, repr=False, compare=False)

    def part(self, index: int) -> tuple[Graph, Sequence[Key]]:
        return self._recent.get(index // _AT_ONCE, self._make), self._keys(index)

    def select(self, indices: Sequence[int]) -> RowLoader:
        rows = {index: self.rows[index] for index in indices}
        chosen = sorted(set(rows.values()))
        return replace(
            self,
            layers={name: _of_rows(layer, chosen) for name, layer in self.layers.items()},
            written={row: self.written[row] for row in chosen if row in self.written},
            rows=rows,
            _recent=_Recent(),
        )

    def _keys(self, index: int) -> list[Key]:
        """Return the keys of the tasks whose results are the columns of a block."""
        return [(each.name, self.rows[index], *each.rest) for each in self.columns]

    def _make(self, number: int) -> Graph:
        """Return the tasks of some blocks, of those that this loader can read."""
        numbers = range(number * _AT_ONCE, (number + 1) * _AT_ONCE)
        held = self.rows if isinstance(self.rows, Mapping) else range(len(self.rows))
        graph: Graph = {}
        wanted = {key for index in numbers if index in held for key in self._keys(index)}
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
            self.constants[key] if key in self.constants else self.written[_row(key)][key]
        )
        return node


def row_loader(arrays: Sequence[da.Array], rows: Sequence[int]) -> RowLoader | None:
    """Return what makes the tasks of blocks when they are read.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        With as many chunks of rows each, and one chunk of all else.
    rows : sequence of int
        The chunks of rows that are blocks.

    Returns
    -------
    RowLoader or None
        None where blocks have more in common than constants, where parts lie on a cluster, or where
        the user has chosen another optimisation of graphs.
    """
    if dask.config.get("array_optimize", None) is not None:
        return None
    if any(prod(array.numblocks[1:]) > 1 for array in arrays):
        return None
    graph = HighLevelGraph.merge(*(array.dask for array in arrays))
    graph = optimize_blockwise(graph, keys=[array.name for array in arrays])
    columns = tuple(_Column(array.name, (0,) * (array.ndim - 1)) for array in arrays)
    found = _Layers(graph, {array.name for array in arrays}, arrays[0].numblocks[0])
    if not found.follow():
        return None
    return RowLoader(found.layers, found.constants, found.written, columns, rows)


class _Layers:
    """Follows the layers that arrays are made of, as long as each takes rows of the same block.

    Parameters
    ----------
    graph : HighLevelGraph
        Of all arrays.
    names : set of str
        Of these arrays.
    n_rows : int
        Chunks of rows.
    """

    def __init__(self, graph: HighLevelGraph, names: set[str], n_rows: int) -> None:
        self.layers: dict[str, Blockwise] = {}
        self.constants: Graph = {}
        self.written: dict[int, Graph] = {}
        self._graph = graph
        self._names = names
        self._n_rows = n_rows
        self._to_do = list(names)
        self._done: set[str] = set()

    def follow(self) -> bool:
        """Tell whether blocks have nothing but constants in common."""
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
            self._is_constant_argument(what)
            if indices is None
            else self._is_of_row(layer, str(what), indices, row)
            for what, indices in layer.indices
        )

    def _is_constant_argument(self, what: Any) -> bool:
        if isinstance(what, TaskRef):
            return self._is_constant(what.key)
        return not (isinstance(what, GraphNode) and what.dependencies)

    def _is_of_row(self, layer: Blockwise, name: str, indices: tuple[str, ...], row: str) -> bool:
        if name in layer.io_deps:
            values = layer.io_deps[name]
            return not (values.produces_keys or values.produces_tasks) and indices.count(row) <= 1
        # Of one chunk of rows all others would take the same.
        takes = indices[:1] == (row,) and row not in indices[1:]
        takes = takes and layer.numblocks[name][0] == self._n_rows
        self._to_do.append(name)
        return takes

    def _is_constant(self, key: Key) -> bool:
        """Tell whether a key is that of a value, which is then taken."""
        layer = self._graph.layers.get(key) if isinstance(key, str) else None
        if not isinstance(layer, MaterializedLayer) or key not in layer:
            return False
        value = layer[key]
        value = value.value if isinstance(value, DataNode) else value
        # Other keys, tasks of Dask's older form, and what may hold these.
        if isinstance(value, GraphNode | str | tuple | list | dict) or is_future(value):
            return False
        if isinstance(value, np.ndarray) and value.nbytes >= LARGE_NBYTES:
            return False
        self.constants[key] = DataNode(key, value)
        return True

    def _is_written(self, name: str, layer: MaterializedLayer) -> bool:
        """Tell whether tasks that are written out take rows of their own block, and take them."""
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
            self.written.setdefault(_row(key), {})[key] = task
        self._to_do.extend(before)
        # Dask would join a task to the only one that needs it, and so read no more of a file than
        # what a slice leaves.
        dependents = self._graph.dependents
        return all(each in self._names or len(dependents.get(each, ())) > 1 for each in before)


def _row(key: Any) -> int:
    """Return the number of the row of chunks that a key is of."""
    return int(key[1])


def _copy(layer: Blockwise, io_deps: Mapping[str, BlockwiseDep]) -> Blockwise:
    """Return a layer with other arguments; the user's own may hold all tasks, written out."""
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
    """Return a layer that carries the arguments of some rows alone."""
    row, cut = layer.output_indices[0], dict(layer.io_deps)
    for name, indices in layer.indices:
        if not (isinstance(name, str) and name in cut and indices and row in indices):
            continue
        values, axis = cut[name], indices.index(row)
        counts = values.numblocks
        if counts[axis] > 1:  # else the same for all rows
            before, after = map(range, counts[:axis]), map(range, counts[axis + 1 :])
            places = list(product(*before, rows, *after))
            cut[name] = BlockwiseDepDict({place: values[place] for place in places}, counts)
    return _copy(layer, cut)
