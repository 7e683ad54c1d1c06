"""Flatten several dimensions of samples to rows, block by block, and undo it.

A block of samples becomes a block of rows. No block is cut or joined, as ``reshape`` would do, and
the rows of a block are in C order. So the order of all rows depends on the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import Task, TaskRef
from dask.typing import Key
from numpy.typing import NDArray

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.blocks.graph import Graph


def flattened(array: da.Array, n_dims: int) -> da.Array:
    """Flatten the first dimensions of an array to one.

    Parameters
    ----------
    array : dask.array.Array
        Its first dimensions are the samples.
    n_dims : int
        Number of the sample dimensions.

    Returns
    -------
    dask.array.Array
        One block of rows for each block of samples. Each of the other dimensions has one chunk, if
        there are several sample dimensions.
    """
    if n_dims == 1:
        return array
    array = array.rechunk(dict.fromkeys(range(n_dims, array.ndim), -1))
    sample_chunks = array.chunks[:n_dims]
    sizes = tuple(prod(shape) for shape in product(*sample_chunks))
    return _reshaped_blocks(
        array,
        _keys(array.name, array.ndim, sample_chunks),
        (sizes, *array.chunks[n_dims:]),
        n_dims,
        f"rows-{tokenize(array.name, n_dims)}",
    )


def unflattened(rows: da.Array, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """Return rows with the dimensions of the samples.

    Parameters
    ----------
    rows : dask.array.Array
        Rows in the order of :func:`flattened`.
    chunks : tuple of tuple of int
        Lengths of the chunks of each sample dimension.

    Returns
    -------
    dask.array.Array
        A plain Dask array, one block for each block of rows.
    """
    sizes = tuple(prod(shape) for shape in product(*chunks))
    if rows.numblocks[0] != len(sizes) or (known(rows) and rows.chunks[0] != sizes):
        rows = rows.rechunk({0: sizes})
    if rows.ndim > 1:
        rows = rows.rechunk({1: -1})
    # The lengths may be unknown, though there is one block of rows for each block of samples.
    new_chunks = (*chunks, *rows.chunks[1:])
    if len(chunks) == 1:
        return da.Array(rows.dask, rows.name, new_chunks, meta=rows._meta)
    name = f"samples-{tokenize(rows.name, chunks)}"
    return _reshaped_blocks(rows, _keys(rows.name, rows.ndim, (sizes,)), new_chunks, 1, name)


def _keys(name: str, n_dims: int, sample_chunks: Sequence[Sequence[int]]) -> list[tuple[Any, ...]]:
    """Return the keys of an array's blocks, in C order; other dimensions have one chunk."""
    numbers = product(*(range(len(lengths)) for lengths in sample_chunks))
    return [(name, *each, *(0,) * (n_dims - len(sample_chunks))) for each in numbers]


def _reshaped_blocks(
    array: da.Array,
    sources: Sequence[Key],
    chunks: tuple[tuple[int, ...], ...],
    n_dims: int,
    name: str,
) -> da.Array:
    """Return an array of the given chunks, whose blocks are reshaped blocks of another array."""
    n_columns = array.ndim - n_dims
    sample_chunks = chunks[: len(chunks) - n_columns]
    tasks: Graph = {
        key: Task(key, _reshape, TaskRef(source), shape, n_dims)
        for key, source, shape in zip(
            _keys(name, len(chunks), sample_chunks), sources, product(*sample_chunks), strict=True
        )
    }
    graph = HighLevelGraph(
        {**array.dask.layers, name: MaterializedLayer(tasks)},
        {**array.dask.dependencies, name: {array.name}},
    )
    meta = np.empty((0,) * len(chunks), dtype=array.dtype)
    return da.Array(graph, name, chunks, meta=meta)


def _reshape(block: NDArray[Any], shape: tuple[int, ...], n_dims: int) -> NDArray[Any]:
    """Give the first ``n_dims`` dimensions of a block another shape."""
    return block.reshape(shape + block.shape[n_dims:])
