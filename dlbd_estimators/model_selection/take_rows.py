"""Select rows of lazy arrays. The result is lazy, with chunks about as large as before.

One task for each block selects its rows, and chunks are concatenated from the selected rows. So the
blocks of a chunk need not be in memory at the same time. The same task computes the positions of
the rows. A separate task would have no dependencies, and Dask would then order the graph such that
all blocks are in memory when training and test rows are computed together. Positions that depend on
labels are computed after the labels, once for all arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise, product
from typing import Any

import dask
import dask.array as da
import numpy as np
import scipy.sparse
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import List, Task, TaskRef
from dask.tokenize import tokenize
from numpy.typing import NDArray

from dlbd_estimators.blocks.alignment import known, with_sizes
from dlbd_estimators.blocks.checks import Promised, checked, promise
from dlbd_estimators.blocks.data_frame_columns import Aligned
from dlbd_estimators.blocks.row_selection import Rows, Selection
from dlbd_estimators.engine.column_passes import each_block
from dlbd_estimators.model_selection.sources import LazySource


def gather(source: Any, selection: Selection, where: da.Array | None = None) -> Any:
    """Return the selected rows of one array.

    Parameters
    ----------
    source : LazySource or array-like
        All rows.
    selection : Selection
        The rows to select.
    where : dask.array.Array, optional
        The :func:`stratified_positions` of the selection, if it depends on labels.

    Returns
    -------
    dask.array.Array, dask.dataframe.DataFrame, dask.dataframe.Series or array-like
        The selected rows, in the type of ``source``.
    """
    if not isinstance(source, LazySource):
        return in_memory(source, _all_positions(selection, where))
    if isinstance(source.data, da.Array):
        part: Any = _of_array(source, selection, where)
        names = getattr(source.data, "feature_names", None)
        if names is not None:
            # Dask arrays have no names, so copy those that came from a data frame.
            part.feature_names = names
        return part
    return _of_frame(source, selection, where)


def _of_array(source: LazySource, selection: Selection, where: da.Array | None) -> da.Array:
    data = source.data
    if source.sizes != selection.sizes:
        if not known(data):
            data = with_sizes(data, source.sizes)
        data = data.rechunk({0: selection.sizes})
    name = f"rows-{tokenize(data.name, selection, where)}"
    layer: dict[Any, Any] = {}
    lengths = []
    promised = {
        column: Promised(
            "an array",
            tuple(c[i] for c, i in zip(data.chunks[1:], column, strict=True)),
            data.dtype,
            scipy.sparse.issparse(data._meta),
        )
        for column in product(*map(range, data.numblocks[1:]))
    }
    for number, blocks in enumerate(selection.chunks()):
        lengths.append(int(selection.lengths[blocks].sum()))
        for column in product(*map(range, data.numblocks[1:])):
            taken = []
            for block in blocks:
                # For a single block, the task that selects its rows is the task of the chunk.
                key: Any = (name, number, *column)
                if len(blocks) > 1:
                    key = (f"take-{name}", block, *column)
                    taken.append(TaskRef(key))
                layer[key] = Task(
                    key,
                    take,
                    TaskRef((data.name, block, *column)),
                    selection.rows(block),
                    None if where is None else TaskRef((where.name, block)),
                    promised[column],
                )
            if taken:
                key = (name, number, *column)
                layer[key] = Task(key, _below_each_other, List(*taken))
    above: Any = [data] if where is None else [data, where]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=above)
    return da.Array(graph, name, (tuple(lengths), *data.chunks[1:]), meta=data._meta)


def stratified_positions(selection: Selection, labels: da.Array) -> da.Array:
    """Return the positions of the selected rows within their blocks, one chunk for each block.

    Parameters
    ----------
    selection : Selection
        The rows to select.
    labels : dask.array.Array of shape (n_samples,)
        Labels by which the selection is stratified, with the same blocks.
    """
    name = f"positions-{tokenize(selection, labels.name)}"
    layer: dict[Any, Any] = {}
    for block in range(len(selection.sizes)):
        key = (name, block)
        layer[key] = Task(key, Rows.positions, selection.rows(block), TaskRef((labels.name, block)))
    above: Any = [labels]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=above)
    chunks = (tuple(int(length) for length in selection.lengths),)
    return da.Array(graph, name, chunks, dtype=np.intp)


def take(
    block: Any,
    rows: Rows,
    where: NDArray[np.intp] | None = None,
    promised: Promised | Aligned | None = None,
) -> Any:
    """Return selected rows of a block in their order; the result is the block if all are selected.

    Otherwise the result is a copy, not a view.

    Parameters
    ----------
    block : ndarray, sparse matrix, DataFrame or Series
        All rows of a block.
    rows : Rows
        The rows to select.
    where : ndarray of int, optional
        Positions of the rows, if they depend on labels.
    promised : Promised or Aligned, optional
        The columns and dtypes that the collection declares for its blocks.

    Raises
    ------
    LengthMismatch
        The length of the block has changed since the rows were chosen.
    BadBlock
        The block has other columns than the collection declares.
    """
    if promised is not None:
        block = checked(block, promised)
    sparse = scipy.sparse.issparse(block)
    n_rows = block.shape[0] if sparse else len(block)
    rows.check(n_rows)
    if where is None:
        where = rows.positions()
    if len(where) == n_rows:
        return block
    if sparse:
        return block.tocsr()[where]
    return block[where] if isinstance(block, np.ndarray) else in_memory(block, where)


def _below_each_other(parts: list[Any]) -> Any:
    if any(map(scipy.sparse.issparse, parts)):
        return scipy.sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def _of_frame(source: LazySource, selection: Selection, where: da.Array | None) -> Any:
    import dask.dataframe as dd

    blocks = source.data.to_delayed()
    if source.sizes != selection.sizes:
        blocks = list(_cut(blocks, source.sizes, selection.sizes))
    positions: Any = [None] * len(selection.sizes)
    if where is not None:
        positions = where.to_delayed(optimize_graph=False)
    taking, joining = dask.delayed(take, pure=True), dask.delayed(_join, pure=True)
    promised = promise(source.data, "an array")
    parts = []
    for chunk in selection.chunks():
        taken = [
            taking(blocks[block], selection.rows(block), positions[block], promised)
            for block in chunk
        ]
        parts.append(joining(taken) if len(taken) > 1 else taken[0])
    # from_delayed cannot be used: tasks are lost when Dask optimises its result, for example in
    # to_dask_array.
    graph = {key: task for part in parts for key, task in dict(part.__dask_graph__()).items()}
    unknown = (None,) * (len(parts) + 1)
    keys = [part.key for part in parts]
    return dd.from_graph(graph, source.data._meta, unknown, keys, "rows")


def _cut(blocks: Iterable[Any], sizes: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[Any]:
    """Yield blocks of other lengths for a data frame."""
    slicing, joining = dask.delayed(_slice, pure=True), dask.delayed(_join, pure=True)
    blocks = list(blocks)
    edges = list(pairwise(accumulate(sizes, initial=0)))
    for start, stop in pairwise(accumulate(wanted, initial=0)):
        pieces = [
            slicing(block, max(start - first, 0), stop - first)
            for block, (first, last) in zip(blocks, edges, strict=True)
            if first < stop and last > start
        ]
        # An empty block still has columns and dtypes.
        yield joining(pieces) if pieces else slicing(blocks[0], 0, 0)


def _slice(frame: Any, start: int, stop: int) -> Any:
    return frame.iloc[start:stop]


def _join(frames: list[Any]) -> Any:
    import pandas as pd

    return pd.concat(frames)


def _all_positions(selection: Selection, where: da.Array | None) -> NDArray[np.intp]:
    if where is None:
        return selection.indices()
    starts = np.cumsum([0, *selection.sizes])
    found = each_block(where, _block, name="positions", called="stratify")
    return np.concatenate([start + part for start, part in zip(starts, found, strict=False)])


def _block(_: int, block: NDArray[np.intp]) -> NDArray[np.intp]:
    return block


def in_memory(array: Any, where: NDArray[np.intp]) -> Any:
    """Return some rows of an array, a data frame or a list in memory."""
    if hasattr(array, "iloc"):
        return array.iloc[where]
    return array[where] if hasattr(array, "shape") else [array[index] for index in where]
