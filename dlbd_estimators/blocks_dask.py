"""Blocks of Dask arrays: each is its own small graph, run inside the task that needs it.

The arrays are aligned, their graphs optimised together, and the graph of every block is
culled from the whole, so a block can be read anywhere by executing its own part. What
more than half of the blocks need (a global mean, say) is computed once, first, and
travels with them as a value. A part shared by a few neighbours is recomputed by each:
keeping it would make memory grow with the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import get_scheduler
from dask.core import flatten, istask
from dask.optimization import cull
from dask.typing import Key

from dlbd_estimators.blocks import Blocks, Loader, Rows
from dlbd_estimators.exceptions import LengthMismatch

Graph = dict[Key, Any]

#: An array smaller than this may travel with every task that takes a slice of it.
_LARGE_NBYTES = 2**18


@dataclass(frozen=True)
class GraphLoader(Loader):
    """Reads a block by executing its part of a Dask graph in the calling thread.

    Parameters
    ----------
    graph : dict
        Tasks of all blocks it can read.
    outputs : dict of int to tuple
        Keys of X, y and, where there are weights, sample_weight, by block.
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
        values = iter(dask.get(graph, wanted))
        X = next(values) if features else None
        y = next(values)
        return Rows(X, y, next(values, None))

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
        return replace(self, graph={**self.graph, **inputs}, futures={})


def from_dask(
    X: da.Array,
    y: da.Array,
    weight: da.Array | None,
    feature_names: Sequence[str] | None = None,
) -> Blocks:
    """Align Dask arrays and split their graphs into blocks of rows.

    Blocks are the row chunks of X; empty chunks are left out. Chunks of unknown (NaN)
    length stay unknown as long as the arrays have the same number of them.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows.
    """
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    arrays = _align(X, y, weight)
    futures = {
        value.key: value
        for array in arrays
        for value in dict(array.__dask_graph__()).values()
        if _is_future(value)
    }
    optimised = dask.optimize(*arrays)
    keys = [list(flatten(array.__dask_keys__())) for array in optimised]
    graph: Graph = {}
    for array in optimised:
        graph.update(array.__dask_graph__())
    sizes = arrays[0].chunks[0]
    known = not any(np.isnan(size) for size in sizes)
    rows = [index for index, size in enumerate(sizes) if not (known and size == 0)]
    outputs = [tuple(part[index] for part in keys) for index in rows]
    # Whatever is not float32 is converted to float64.
    itemsize = 4 if arrays[0].dtype == np.float32 else 8
    return Blocks(
        loader=_split(graph, futures, outputs, X),
        n_blocks=len(rows),
        n_features=int(X.shape[1]),
        sizes=tuple(int(sizes[index]) for index in rows) if known else None,
        block_nbytes=int(max(sizes)) * int(X.shape[1]) * itemsize if known else None,
        itemsize=itemsize,
        feature_names=feature_names,
    )


def _align(X: da.Array, *others: da.Array | None) -> list[da.Array]:
    """Give all arrays the row chunks of X, and refuse different lengths before computing."""
    aligned = [X]
    for name, other in zip(("y", "sample_weight"), others, strict=False):
        if other is None:
            continue
        chunks = other
        if chunks.ndim > 1 and chunks.numblocks[1] > 1:
            chunks = chunks.rechunk({1: -1})
        if not (_known(X) and _known(chunks)) and chunks.numblocks[0] != X.numblocks[0]:
            # Lengths must be found before rows can be matched; this reads the data once.
            X, chunks = (
                each if _known(each) else each.compute_chunk_sizes() for each in (X, chunks)
            )
            aligned[0] = X
        if _known(X) and _known(chunks):
            if X.shape[0] != chunks.shape[0]:
                raise LengthMismatch(
                    f"Found input variables with inconsistent numbers of samples: X has "
                    f"{X.shape[0]} rows but {name} has {chunks.shape[0]}."
                )
            chunks = chunks.rechunk({0: X.chunks[0]})
        aligned.append(chunks)
    return aligned


def _known(array: da.Array) -> bool:
    return not np.isnan(array.shape[0])


def _split(
    graph: Graph, futures: Graph, outputs: list[tuple[Key, ...]], array: da.Array
) -> GraphLoader:
    # Optimisation leaves the names of persisted chunks without their values.
    wanted = [key for keys in outputs for key in keys]
    graph, dependencies = cull({**graph, **futures}, wanted)
    shared = _shared(dependencies, outputs)
    tasks = [key for key in shared if istask(graph[key])]
    if tasks:
        part, _ = cull(graph, tasks)
        values = get_scheduler(collections=[array])(part, tasks)
        graph = {**graph, **dict(zip(tasks, values, strict=True))}
        dependencies = {**dependencies, **dict.fromkeys(tasks, ())}
    slices = _slices(graph, dependencies, set(shared))
    graph = {**graph, **slices}
    dependencies = {**dependencies, **dict.fromkeys(slices, ())}
    needs = [tuple(_reachable(dependencies, keys)) for keys in outputs]
    kept = {key for keys in needs for key in keys}
    return GraphLoader(
        {key: graph[key] for key in kept},
        dict(enumerate(outputs)),
        dict(enumerate(needs)),
        {key: futures[key] for key in kept & futures.keys()},
    )


def _shared(dependencies: Mapping[Key, Any], outputs: list[tuple[Key, ...]]) -> list[Key]:
    """Find what more than half of the blocks need, other than by way of another such part.

    Of ``X - X.mean(0)`` that is the mean alone: every block needs all of X, but only to
    find the mean.
    """
    users = Counter(key for keys in dependencies.values() for key in keys)
    # Bit i of a key's mask: block i needs it, by a path that meets no shared key.
    masks: dict[Key, int] = dict.fromkeys(dependencies, 0)
    for index, keys in enumerate(outputs):
        for key in keys:
            masks[key] |= 1 << index
    # Of two blocks each may touch the same stored chunk: no reason to send that with both.
    many = max(2, len(outputs) // 2)
    shared: list[Key] = []
    ready = [key for key in dependencies if not users[key]]
    while ready:
        key = ready.pop()
        mask = masks.pop(key)
        if mask.bit_count() > many:
            shared.append(key)
            mask = 0
        for needed in dependencies[key]:
            masks[needed] |= mask
            users[needed] -= 1
            if not users[needed]:
                ready.append(needed)
    return shared


def _slices(graph: Graph, dependencies: Mapping[Key, Any], shared: set[Key]) -> Graph:
    """Compute what single blocks take from large shared arrays alone.

    Then a slice travels with a block, and not the whole of an array in memory. What turns
    out larger than the array (rows read by their numbers, say) stays a task.
    """
    slices: Graph = {}
    for key, needed in dependencies.items():
        if key in shared or not needed or not shared.issuperset(needed):
            continue
        values: list[Any] = [getattr(graph[each], "value", graph[each]) for each in needed]
        if not all(isinstance(value, np.ndarray) for value in values):
            continue
        size = sum(value.nbytes for value in values)
        if size >= _LARGE_NBYTES:
            part = {each: graph[each] for each in (key, *needed)}
            value = dask.get(part, key)
            if getattr(value, "nbytes", size) < size:
                slices[key] = value
    return slices


def _reachable(dependencies: Any, keys: Sequence[Key]) -> Iterator[Key]:
    seen: set[Key] = set()
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key not in seen:
            seen.add(key)
            yield key
            stack.extend(dependencies[key])


def _is_future(value: Any) -> bool:
    # A persisted chunk is a distributed.Future in the graph; the name alone tells it,
    # so that this module works where distributed is not imported.
    return type(value).__module__.startswith("distributed.") and hasattr(value, "key")
