"""Blocks of Dask arrays: each is its own small graph, run inside the task that needs it.

The arrays are aligned, their graphs optimised together, and the graph of every block is culled
from the whole, so a block can be read anywhere by executing its own part. What more than half of
the blocks need (a global mean, say) is computed once, first, and travels with them as a value. A
part shared by a few neighbours is recomputed by each: keeping it would make memory grow with the
data.

Where every block needs much of the whole graph (after a shuffle, or where whole columns are brought
to rows), reading blocks one by one would read the data again for each. On a cluster its rows are
then brought together once, by Dask, and stay on the workers until the fit is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
from dask.base import get_scheduler
from dask.core import flatten, istask
from dask.optimization import cull
from dask.task_spec import DataNode
from dask.typing import Key

from dlbd_estimators.blocks import Blocks
from dlbd_estimators.blocks_align import align, check_order, known
from dlbd_estimators.blocks_graph import (
    Dependencies,
    Graph,
    array_slices,
    dependencies_of,
    is_future,
    p2p_outputs,
    reachable,
    sharing,
)
from dlbd_estimators.blocks_sequence import Loader, Rows
from dlbd_estimators.blocks_steps import read_last_steps

#: An array smaller than this may travel with every task that takes a slice of it.
_LARGE_NBYTES = 2**18
#: So many large shared values go to each block; more of them are the rows of a shuffle.
_FEW = 4
#: From so many runs of a task a pass on, the blocks are made once instead of each for itself.
_MOST_REPLAYS = 8


class Remote(Protocol):
    """A cluster that can run parts of a graph, and keep what they give."""

    def persist(self, graph: Graph, keys: Sequence[Key]) -> Graph:
        """Run a graph, wait for it, and return the results' futures by key."""

    def handles(self, keys: Iterable[Key]) -> Graph:
        """Return futures of results that lie on the cluster already, by key."""

    def nbytes(self, futures: Graph) -> dict[Key, int]:
        """Return the sizes of results."""

    def gather(self, futures: Graph) -> Graph:
        """Fetch results, by key."""


@dataclass(frozen=True)
class GraphLoader(Loader):
    """Reads a block by executing its part of a Dask graph in the calling thread.

    Parameters
    ----------
    graph : dict
        Tasks of all blocks it can read.
    outputs : dict of int to tuple
        Keys of all that makes up a block: of a fit X, y and, where there are weights,
        sample_weight.
    needs : dict of int to tuple
        All keys a block needs, by block.
    futures : dict
        Values that lie on a cluster already, by key.
    """

    graph: Graph
    outputs: dict[int, tuple[Key, ...]]
    needs: dict[int, tuple[Key, ...]]
    futures: Graph

    def read(self, index: int, *, features: bool = True) -> Rows:
        keys = self.outputs[index]
        wanted = list(keys if features else keys[1:])
        # Cull again: the targets' part alone must not read the features.
        graph, _ = cull({key: self.graph[key] for key in self.needs[index]}, wanted)
        X = read_last_steps(graph, keys[0], wanted[1:]) if features else None
        values = iter(dask.get(graph, wanted if X is None else wanted[1:]))
        X = next(values) if features and X is None else X
        y = next(values)
        return Rows(X, y, next(values, None))

    def values(self, index: int) -> list[Any]:
        """Read all that makes up a block."""
        graph = {key: self.graph[key] for key in self.needs[index]}
        return list(dask.get(graph, list(self.outputs[index])))

    def select(self, indices: Sequence[int]) -> GraphLoader:
        keys = {key for index in indices for key in self.needs[index]}
        return GraphLoader(
            {key: self.graph[key] for key in keys},
            {index: self.outputs[index] for index in indices},
            {index: self.needs[index] for index in indices},
            {key: self.futures[key] for key in keys & self.futures.keys()},
        )

    def remote_inputs(self, indices: Sequence[int]) -> dict[Any, Any]:
        keys = {key for index in indices for key in self.needs[index]}
        return {key: self.futures[key] for key in keys & self.futures.keys()}

    def with_inputs(self, inputs: dict[Any, Any]) -> GraphLoader:
        return replace(self, graph={**self.graph, **_values(inputs)}, futures={})


def from_dask(
    X: da.Array,
    y: da.Array,
    weight: da.Array | None,
    feature_names: Sequence[str] | None = None,
    *,
    remote: Remote | None = None,
) -> Blocks:
    """Align Dask arrays and split their graphs into blocks of rows.

    Blocks are the row chunks of X; empty chunks are left out. Chunks of unknown (NaN) length stay
    unknown. :func:`dlbd_estimators.execution.rows.with_lengths_of_one_source` counts them where
    the arrays have not the same number of them, or do not come from the same source.

    Parameters
    ----------
    X, y, weight : dask.array.Array
        Features, targets, and weights or None.
    feature_names : sequence of str, optional
        For messages.
    remote : Remote, optional
        The cluster that the blocks will be read on.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows, or were shuffled each for itself.
    """
    names = ("X", "y", "sample_weight")
    given = {
        name: each for name, each in zip(names, (X, y, weight), strict=True) if each is not None
    }
    arrays = align(given)
    whole, keys = _optimised(list(arrays.values()))
    check_order(whole, dependencies_of(whole, flatten(keys)), keys)
    outputs = list(zip(*keys, strict=True))
    first = arrays["X"]
    sizes = first.chunks[0]
    is_known = known(first)
    rows = [index for index, size in enumerate(sizes) if not (is_known and size == 0)]
    # Whatever is not float32 is converted to float64.
    itemsize = 4 if first.dtype == np.float32 else 8
    return Blocks(
        loader=graph_loader(whole, [outputs[index] for index in rows], first, remote),
        n_blocks=len(rows),
        n_features=int(first.shape[1]),
        sizes=tuple(int(sizes[index]) for index in rows) if is_known else None,
        block_nbytes=int(max(sizes)) * int(first.shape[1]) * itemsize if is_known else None,
        itemsize=itemsize,
        feature_names=feature_names,
        y_shape=arrays["y"].shape[1:],
    )


def _optimised(arrays: list[da.Array]) -> tuple[Graph, list[list[Key]]]:
    """Return one graph of all arrays, the futures in it included, and the keys of their blocks."""
    optimised = dask.optimize(*arrays)
    graph: Graph = {}
    for array in optimised:
        graph.update(array.__dask_graph__())
    keys = [list(flatten(array.__dask_keys__())) for array in optimised]
    return {**graph, **futures_of(arrays)}, keys


def futures_of(collections: Sequence[Any]) -> Graph:
    """Return what lies on a cluster of some collections, by key.

    Optimisation leaves the names of persisted chunks without their values.
    """
    return {
        key: value
        for each in collections
        for key, value in dict(each.__dask_graph__()).items()
        if is_future(value)
    }


def graph_loader(
    graph: Graph, outputs: list[tuple[Key, ...]], first: Any, remote: Remote | None
) -> GraphLoader:
    """Split a graph into the parts that blocks need, and compute what they share.

    Parameters
    ----------
    graph : dict
        Of all blocks, with the futures in it.
    outputs : list of tuple of key
        What makes up each block.
    first : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        One of the collections, whose scheduler computes what is shared in this process.
    remote : Remote or None
        The cluster that the blocks will be read on.

    Raises
    ------
    ValueError
        Something lies on a cluster, but there is none.
    """
    wanted = [key for keys in outputs for key in keys]
    dependencies = dependencies_of(graph, wanted)
    graph = {key: graph[key] for key in dependencies if key in graph}
    missing = [key for key in dependencies if key not in graph]
    if remote is None and (missing or any(is_future(value) for value in graph.values())):
        raise ValueError(
            "The data lie on a Dask cluster (they were persisted, or made of futures), but no "
            "client of it is active here. Use them where the client is, or compute them first."
        )
    if remote is None:
        graph, shared = _with_values(graph, dependencies, outputs, first)
    else:
        graph.update(remote.handles(missing))
        graph, shared = _on_cluster(graph, outputs, remote)
    dependencies = dependencies_of(graph, wanted)
    slices = _slices(graph, dependencies, shared & dependencies.keys())
    graph.update(slices)
    dependencies = dependencies_of(graph, wanted)
    needs = [tuple(reachable(dependencies, keys)) for keys in outputs]
    return GraphLoader(
        {key: graph[key] for key in dependencies},
        dict(enumerate(outputs)),
        dict(enumerate(needs)),
        {key: graph[key] for key in dependencies if is_future(graph[key])},
    )


def _with_values(
    graph: Graph, dependencies: Dependencies, outputs: list[tuple[Key, ...]], first: Any
) -> tuple[Graph, set[Key]]:
    """Compute what most blocks need in this process; return the graph and what is shared."""
    found = sharing(dependencies, outputs)
    tasks = [key for key in found.shared if _is_task(graph[key])]
    if found.replays > _MOST_REPLAYS:
        tasks = [key for keys in outputs for key in keys]
    if tasks:
        part, _ = cull(graph, tasks)
        values = get_scheduler(collections=[first])(part, tasks)
        graph = {**graph, **_values(dict(zip(tasks, values, strict=True)))}
    return graph, set(found.shared)


def _on_cluster(
    graph: Graph, outputs: list[tuple[Key, ...]], remote: Remote
) -> tuple[Graph, set[Key]]:
    """Compute what blocks share on the cluster; return the graph and what is shared by value."""
    wanted = [key for keys in outputs for key in keys]
    dependencies = dependencies_of(graph, wanted)
    between = p2p_outputs(dependencies)
    if between:
        graph = {**graph, **remote.persist(graph, between)}
        dependencies = dependencies_of(graph, wanted)
    found = sharing(dependencies, outputs)
    tasks = [key for key in found.shared if _is_task(graph[key])]
    graph = {**graph, **(remote.persist(graph, tasks) if tasks else {})}
    futures = {key: graph[key] for key in found.shared if is_future(graph[key])}
    sizes = remote.nbytes(futures)
    small = {key: each for key, each in futures.items() if sizes[key] < _LARGE_NBYTES}
    large = [key for key in tasks if key not in small]
    if len(large) > _FEW or found.replays > _MOST_REPLAYS:
        return {**graph, **remote.persist(graph, wanted)}, set()
    graph = {**graph, **_values(remote.gather(small))}
    return graph, {key for key in found.shared if not is_future(graph[key])}


def _is_task(value: Any) -> bool:
    return istask(value) and not is_future(value)


def _slices(graph: Graph, dependencies: Dependencies, shared: set[Key]) -> Graph:
    """Compute what single blocks take from large shared arrays alone.

    Then a slice travels with a block, and not the whole of an array in memory. What turns out
    larger than the array (rows read by their numbers, say) stays a task.
    """
    slices: Graph = {}
    for key, needed in array_slices(graph, dependencies, shared, _LARGE_NBYTES).items():
        values: list[Any] = [getattr(graph[each], "value", graph[each]) for each in needed]
        size = sum(value.nbytes for value in values)
        value = dask.get({each: graph[each] for each in (key, *needed)}, key)
        if getattr(value, "nbytes", size) < size:
            slices[key] = value
    return _values(slices)


def _values(found: Graph) -> Graph:
    """Return nodes of a graph that hold values, which Dask could otherwise take for tasks."""
    return {key: DataNode(key, value) for key, value in found.items()}
