"""Blocks of Dask arrays: each has its own small graph, which runs inside the task that needs it.

If blocks have nothing in common, their graphs are made when they are read: see
:mod:`~dlbd_estimators.blocks.row_by_row`. Otherwise the arrays are aligned, and their graphs are
merged and optimised together. The graph of each block is culled from the merged graph, so that a
block can be read anywhere by running its own graph. What more than half of the blocks need (a
global mean, for example) is computed once, before the blocks are read, and is sent with the blocks
as a value. A task that only a few neighbouring blocks need runs again for each of them: if its
result were kept, memory would grow with the data.

Sometimes every block needs a large part of the merged graph (after a shuffle, or if whole columns
are rechunked to rows). Reading blocks one by one would then read the data again for each of them.
On a cluster, Dask computes all blocks once in this case, and they stay on the workers until the end
of the fit.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import dask.array as da
import numpy as np
import scipy.sparse
from dask.base import get_scheduler
from dask.core import flatten, istask
from dask.task_spec import DataNode
from dask.typing import Key

from dlbd_estimators.blocks.alignment import align, check_order, known
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.graph import (
    Dependencies,
    Graph,
    dependencies_of,
    futures_of,
    is_future,
    p2p_outputs,
)
from dlbd_estimators.blocks.joined_chunks import with_joined_chunks
from dlbd_estimators.blocks.optimised import optimised
from dlbd_estimators.blocks.row_by_row import LARGE_NBYTES, row_loader
from dlbd_estimators.blocks.rows_on_disk import compute_with_spill
from dlbd_estimators.blocks.shared_parts import sharing
from dlbd_estimators.blocks.sliced_arrays import preslice_arrays
from dlbd_estimators.blocks.sources import is_frame
from dlbd_estimators.blocks.task_loader import TaskLoader
from dlbd_estimators.kernels.sparse_rows import csr_nbytes

#: Maximum number of large shared values. If there are more, they are the rows of a shuffle.
_FEW = 4
#: If a pass would run each task more often than this on average, all blocks are computed once,
#: instead of separately.
_MOST_REPLAYS = 8


class Remote(Protocol):
    """A cluster that can run parts of a graph and keep their results."""

    def persist(self, graph: Graph, keys: Sequence[Key]) -> Graph:
        """Run a graph, wait for it, and return the results' futures by key."""

    def futures_by_key(self, keys: Iterable[Key]) -> Graph:
        """Return the future of each key; the results are on the cluster already."""

    def nbytes(self, futures: Graph) -> dict[Key, int]:
        """Return the size of each result in bytes, by key."""

    def gather(self, futures: Graph) -> Graph:
        """Fetch results from the cluster, and return them by key."""


@dataclass(frozen=True)
class GraphLoader(TaskLoader):
    """Read blocks from one graph that holds the tasks of all blocks.

    Parameters
    ----------
    graph : dict
        Tasks of all blocks that this loader can read.
    outputs : sequence or dict of int to tuple
        Keys that make up each block. In a fit, these are the keys of X, y and, if there are
        weights, sample_weight.
    futures : dict
        Futures of the values that are already on a cluster, by key.
    """

    graph: Graph
    outputs: Sequence[tuple[Key, ...]] | Mapping[int, tuple[Key, ...]]
    futures: Graph

    def part(self, index: int) -> tuple[Graph, Sequence[Key]]:
        return self.graph, self.outputs[index]

    def select(self, indices: Sequence[int]) -> GraphLoader:
        keys = self._needed(indices)
        return GraphLoader(
            {key: self.graph[key] for key in keys},
            {index: self.outputs[index] for index in indices},
            {key: self.futures[key] for key in keys & self.futures.keys()},
        )

    def remote_inputs(self, indices: Sequence[int]) -> dict[Any, Any]:
        if not self.futures:
            return {}
        keys = self._needed(indices) & self.futures.keys()
        return {key: self.futures[key] for key in keys}

    def _needed(self, indices: Sequence[int]) -> KeysView[Key]:
        """Return all keys that the given blocks need."""
        wanted = (key for index in indices for key in self.outputs[index])
        return dependencies_of(self.graph, wanted).keys()

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

    Blocks are the row chunks of X; empty chunks are left out, and small chunks of Zarr arrays are
    joined: see :mod:`~dlbd_estimators.blocks.joined_chunks`. Chunks of unknown (NaN) length stay
    unknown. :func:`dlbd_estimators.engine.column_passes.with_lengths_of_one_source` counts them
    if the arrays have different numbers of chunks, or do not come from the same source.

    Parameters
    ----------
    X, y, weight : dask.array.Array
        Features, targets, and weights or None.
    feature_names : sequence of str, optional
        Names of the columns, for messages.
    remote : Remote, optional
        The cluster that the blocks will be read on.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows, or were shuffled separately.
    """
    names = ("X", "y", "sample_weight")
    given = {
        name: each for name, each in zip(names, (X, y, weight), strict=True) if each is not None
    }
    arrays = align(with_joined_chunks(given))
    first = arrays["X"]
    sizes = first.chunks[0]
    is_known = known(first)
    rows = [index for index, size in enumerate(sizes) if not (is_known and size == 0)]
    # Whatever is not float32 is converted to float64.
    itemsize = 4 if first.dtype == np.float32 else 8
    sparse = scipy.sparse.issparse(first._meta)
    return Blocks(
        loader=task_loader(list(arrays.values()), rows, remote),
        n_blocks=len(rows),
        n_features=int(first.shape[1]),
        sizes=tuple(int(sizes[index]) for index in rows) if is_known else None,
        block_nbytes=_largest_block_nbytes(first, itemsize) if is_known else None,
        itemsize=itemsize,
        feature_names=feature_names,
        y_shape=arrays["y"].shape[1:],
        sparse=sparse,
    )


def _largest_block_nbytes(X: da.Array, itemsize: int) -> int | None:
    """Return the memory of the largest block of X; None if the size of sparse blocks is not known.

    The number of stored values of sparse blocks is known if X has it as its attribute
    ``max_block_nnz``: arrays that ``storage`` opens have it.
    """
    n_rows = int(max(X.chunks[0]))
    if not scipy.sparse.issparse(X._meta):
        return n_rows * int(X.shape[1]) * itemsize
    nnz = getattr(X, "max_block_nnz", None)
    return None if nnz is None else csr_nbytes(n_rows, int(nnz), itemsize)


def task_loader(
    collections: Sequence[Any], rows: Sequence[int], remote: Remote | None
) -> TaskLoader:
    """Return a loader of the blocks of aligned collections.

    Parameters
    ----------
    collections : sequence of dask.array.Array, dask.dataframe.DataFrame or Series
        All with the same number of chunks (partitions) of rows. Data frames as
        :func:`~dlbd_estimators.blocks.data_frames.merge_graphs` returns them.
    rows : sequence of int
        Numbers of the chunks of rows that are blocks.
    remote : Remote or None
        The cluster that the blocks will be read on.

    Raises
    ------
    LengthMismatch
        The collections were shuffled separately.
    ValueError
        Some values are on a cluster, but ``remote`` is None.
    """
    if not any(map(is_frame, collections)):
        loader = row_loader(collections, rows)
        if loader is not None:
            return loader
    graph = optimised(collections)
    keys = [list(flatten(each.__dask_keys__())) for each in collections]
    dependencies = dependencies_of(graph, flatten(keys))
    check_order(graph, dependencies, keys)
    outputs = list(zip(*keys, strict=True))
    if len(rows) < len(outputs):
        outputs = [outputs[row] for row in rows]
        dependencies = dependencies_of(graph, chain.from_iterable(outputs))
    return graph_loader(graph, dependencies, outputs, collections[0], remote)


def graph_loader(
    graph: Graph,
    dependencies: Dependencies,
    outputs: list[tuple[Key, ...]],
    first: Any,
    remote: Remote | None,
) -> GraphLoader:
    """Compute the values that blocks share, and return a loader of the blocks.

    Parameters
    ----------
    graph : dict
        Tasks and futures of all blocks.
    dependencies : dict
        Dependencies of each task that blocks need.
    outputs : list of tuple of key
        Keys that make up each block.
    first : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        One of the collections. Its scheduler computes the shared values in this process.
    remote : Remote or None
        The cluster that the blocks will be read on.

    Raises
    ------
    ValueError
        Some values are on a cluster, but ``remote`` is None.
    """
    missing = [key for key in dependencies if key not in graph]
    graph = {key: graph[key] for key in dependencies if key in graph}
    if remote is not None:
        graph.update(remote.futures_by_key(missing))
        parts = _on_cluster(graph, dependencies, outputs, remote)
    elif missing or futures_of(graph):
        raise ValueError(
            "The data are on a Dask cluster (they were persisted, or made from futures), but no "
            "client of it is active here. Use them where the client is, or compute them first."
        )
    else:
        parts = _with_values(graph, dependencies, outputs, first)
    graph, dependencies, shared = parts
    slices = preslice_arrays(graph, dependencies, shared & dependencies.keys(), LARGE_NBYTES)
    if slices:
        graph = {**graph, **slices}
        dependencies = dependencies_of(graph, chain.from_iterable(outputs))
    graph = {key: graph[key] for key in dependencies}
    return GraphLoader(graph, outputs, futures_of(graph))


#: A graph, the dependencies of the tasks that blocks need, and the keys that they share as values.
_Parts = tuple[Graph, Dependencies, set[Key]]


def _with_values(
    graph: Graph, dependencies: Dependencies, outputs: list[tuple[Key, ...]], first: Any
) -> _Parts:
    """Compute in this process what most blocks need."""
    found = sharing(dependencies, outputs)
    tasks = [key for key in found.shared if _is_task(graph[key])]
    run = get_scheduler(collections=[first])
    all_keys = list(chain.from_iterable(outputs))
    if found.replays > _MOST_REPLAYS:
        tasks = all_keys
    if tasks:
        values = compute_with_spill(graph, tasks, run)
        if tasks is not all_keys and values.n_on_disk > _FEW:
            # The shared values are the rows of a shuffle: each block would have to read them all.
            tasks = all_keys
            values = compute_with_spill(graph, tasks, run)
        graph = {**graph, **{key: values.node(key) for key in tasks}}
        dependencies = dependencies_of(graph, all_keys)
    return graph, dependencies, set(found.shared)


def _on_cluster(
    graph: Graph, dependencies: Dependencies, outputs: list[tuple[Key, ...]], remote: Remote
) -> _Parts:
    """Compute on the cluster what blocks share."""

    def with_results(found: Graph) -> tuple[Graph, Dependencies]:
        """Replace tasks by their results, and leave out tasks that are not needed any more."""
        if not found:
            return graph, dependencies
        merged = {**graph, **found}
        return merged, dependencies_of(merged, chain.from_iterable(outputs))

    between = p2p_outputs(dependencies)
    if between:
        graph, dependencies = with_results(remote.persist(graph, between))
    found = sharing(dependencies, outputs)
    tasks = [key for key in found.shared if _is_task(graph[key])]
    if tasks:
        graph, dependencies = with_results(remote.persist(graph, tasks))
    futures = {key: graph[key] for key in found.shared if is_future(graph[key])}
    sizes = remote.nbytes(futures)
    small = {key: each for key, each in futures.items() if sizes[key] < LARGE_NBYTES}
    large = [key for key in tasks if key not in small]
    if len(large) > _FEW or found.replays > _MOST_REPLAYS:
        wanted = list(chain.from_iterable(outputs))
        graph, dependencies = with_results(remote.persist(graph, wanted))
        return graph, dependencies, set()
    graph, dependencies = with_results(_values(remote.gather(small)))
    return graph, dependencies, {key for key in found.shared if not is_future(graph[key])}


def _is_task(value: Any) -> bool:
    return istask(value) and not is_future(value)


def _values(found: Graph) -> Graph:
    """Wrap values in nodes of a graph, so that Dask does not take them for tasks."""
    return {key: DataNode(key, value) for key, value in found.items()}
